// Sorts tables, filters the list of students, shows one assignment at a time. Without it everything is there, one below another.
"use strict";

function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function sort(button) {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
  const rows = [...body.rows].sort((a, b) => way * compare(value(a, head.cellIndex), value(b, head.cellIndex)));
  body.append(...rows);
}

function filter(input) {
  const wanted = input.value.trim().toLowerCase();
  const rows = document.getElementById(input.dataset.table).tBodies[0].rows;
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
}

function open() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const sections = [...document.querySelectorAll("section.assignment")];
  const shown = target && target.closest("section.assignment") || sections.find((s) => !s.hidden) || sections[0];
  for (const section of sections) section.hidden = section !== shown;
  for (const link of document.querySelectorAll("nav.which a")) {
    if (shown && link.getAttribute("href") === "#" + shown.id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
  if (target && target !== shown) target.scrollIntoView();
}

for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button));
for (const input of document.querySelectorAll("input[type=search]")) input.addEventListener("input", () => filter(input));
addEventListener("hashchange", open);
open();
