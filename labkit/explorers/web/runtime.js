// An explorer on a page: a state, what is shown in it, one line about what changed, and all of it drawn.
const MOST_WIDE = 1100, LEAST_WIDE = 320;

const isSeen = (c, state) => !c.when || c.when[1].includes(state[c.when[0]]);

// Controls that are not seen follow, or stand where they began.
function settled(told, state) {
  const made = { ...state };
  for (const c of told.controls) {
    if (!isSeen(c, made)) made[c.name] = c.follows ? made[c.follows] : told.start[c.name];
  }
  return made;
}

// What is shown, looked up in the table of all states.
function tabled(told) {
  const key = (places) => places.join();
  const rows = new Map(told.table.rows.map((places, row) => [key([...places]), row]));
  return (state) => {
    const row = rows.get(key(told.controls.map((c) => c.options.indexOf(state[c.name]))));
    return Object.fromEntries(Object.entries(told.table.columns).map(([name, c]) => [name, c.values[c.places[row]]]));
  };
}

function sentence(told, before, after) {
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const fields = [...told.controls.map((c) => c.name), "moved"];
  const changed = fields.find((name) => !same(before.state[name], after.state[name])) || "";
  const [old, now] = [before, after].map((at) => (name) => (name in at.shown ? at.shown[name] : at.state[name]));
  const fits = (s) =>
    (!s.changed || s.changed === changed) &&
    Object.entries(s.when).every(([name, value]) => now(name) === value) &&
    (!s.rises || now(s.rises) > old(s.rises)) && (!s.falls || now(s.falls) < old(s.falls));
  const found = told.sentences.find(fits);
  return found ? fill(found.text, (name) => (name.startsWith("before.") ? old(name.slice(7)) : now(name.slice(6)))) : "";
}

function isDark() {
  const { body } = document, lab = body.dataset.jpThemeLight;
  if (lab) return lab === "false";
  if (body.classList.contains("vscode-dark") || document.documentElement.getAttribute("theme") === "dark") return true;
  if (body.classList.contains("vscode-light")) return false;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function themed(root) {
  const set = () => (root.dataset.theme = isDark() ? "dark" : "light");
  new MutationObserver(set).observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", set);
  set();
}

const SVG = "http://www.w3.org/2000/svg";
const group = (parent) => parent.appendChild(document.createElementNS(SVG, "g"));

// The figure's groups: for each panel its frame, one for each mark, and its labels.
function prepared(view) {
  const { svg, told } = view, key = `lk${Math.random().toString(36).slice(2)}`;
  const frames = told.scene.panels.map(() => group(svg)); // all frames under all marks
  view.panels = told.scene.panels.map((panel, k) => {
    const marks = panel.marks.map((mark) => {
      const it = group(svg);
      if (mark.kind !== "text") it.setAttribute("clip-path", `url(#${key}-${k})`);
      return it;
    });
    return { panel, key: `${key}-${k}`, frame: frames[k], marks, labels: group(svg) };
  });
  view.ring = group(svg);
}

function put(node, html) {
  if (node.drawnAs !== html) node.innerHTML = node.drawnAs = html;
}

function draw(view) {
  const room = view.figure.clientWidth;
  if (!room) return; // not on screen yet
  const size = { width: Math.min(Math.max(room, LEAST_WIDE), MOST_WIDE), height: view.told.scene.height };
  view.svg.setAttribute("width", size.width);
  view.svg.setAttribute("height", size.height);
  const look = (name) => (name in view.shown ? view.shown[name] : view.state[name]);
  for (const place of view.panels) {
    const { g, frame, marks, labels } = drawn(place.panel, size, view.shown, look, place.key);
    place.g = g;
    put(place.frame, frame);
    marks.forEach((html, i) => put(place.marks[i], html));
    put(place.labels, labels);
  }
  ringed(view);
}

// A script runs slowly the first few times: let that be over before a hand is at the slider.
function warmed(told, state, show) {
  const later = window.requestIdleCallback || ((run) => setTimeout(run, 50));
  const near = told.controls.filter((c) => ["slider", "player"].includes(c.kind)).flatMap((c) => {
    const place = c.options.indexOf(state[c.name]);
    return [place + 1, place - 1].filter((k) => k in c.options).map((k) => settled(told, { ...state, [c.name]: c.options[k] }));
  });
  const next = () => near.length && (show(near.shift()), later(next));
  if (told.model) later(next);
}

const KEYS = "Drag a point; or with the figure in focus, arrow keys move one and n takes the next.";
const AFTER = 1500; // milliseconds without a change, after which the next one is a new gesture

function mount(root, told, heard = () => {}) {
  const show = told.model ? models[told.model.name](told.model.data) : tabled(told);
  const view = { told, state: settled(told, told.start) };
  view.shown = show(view.state);
  let from = { state: view.state, shown: view.shown }, last = 0, moved = "", waiting = false, late = false;

  view.svg = document.createElementNS(SVG, "svg");
  view.svg.setAttribute("aria-label", told.alt);
  view.tip = element("div", { class: "lk-tip", role: "tooltip" });
  view.tip.hidden = true;
  view.figure = element("div", { class: "lk-figure" }, view.svg, view.tip);
  view.line = element("p", { class: "lk-line", role: "status", "aria-live": "polite" });
  view.complain = (words) => (view.line.textContent = `✗ ${words}`);

  const say = () => {
    const words = sentence(told, from, view);
    if (view.line.textContent !== words) view.line.textContent = words;
  };
  const redraw = () => {
    view.shown = show(view.state);
    controls.sync(view.state);
    code.sync(view.state);
    draw(view);
    say();
    heard(view.state, written(told, view.state));
  };
  // Changes faster than the screen wait for its next frame; the first is drawn at once.
  const soon = () => {
    if (waiting) return (late = true);
    waiting = true;
    redraw();
    return requestAnimationFrame(() => {
      waiting = false;
      if (late) [late, last] = [false, performance.now()], redraw();
    });
  };
  view.change = (change) => {
    const now = performance.now(), what = Object.keys(change).join();
    if (now - last > AFTER || what !== moved) from = { state: view.state, shown: view.shown };
    [last, moved] = [now, what];
    const changed = told.controls.filter((c) => c.name in change && change[c.name] !== view.state[c.name]);
    const back = changed.flatMap((c) => c.resets).map((name) => [name, name === "moved" ? null : told.start[name]]);
    view.state = settled(told, { ...view.state, ...Object.fromEntries(back), ...change });
    soon();
  };

  const controls = controlled(told, view.change), code = coded(view);
  const moves = told.scene.panels.some((p) => p.marks.some((m) => m.slots.drag));
  view.svg.setAttribute("role", moves ? "group" : "img");
  if (moves) view.svg.setAttribute("tabindex", "0");
  const hint = moves ? [element("p", { class: "lk-hint" }, KEYS)] : [];
  const named = { class: "lk-controls", role: "group", "aria-label": `${told.title}: controls` };
  const left = element("div", named, ...controls.nodes, code.node, ...hint);
  const right = element("div", { class: "lk-right" }, view.figure, view.line);
  const body = element("div", { class: "lk-body", "data-lm-suppress-shortcuts": "true" }, left, right);
  body.addEventListener("keydown", (event) => event.stopPropagation()); // or a notebook takes the arrow keys
  root.querySelector(".lk-still")?.remove();
  root.append(body);
  prepared(view);
  pointed(view);
  keyed(view);
  themed(root);
  new ResizeObserver(() => draw(view)).observe(view.figure);
  controls.sync(view.state);
  code.sync(view.state);
  draw(view);
  say();
  root.dataset.mounted = "yes";
  warmed(told, view.state, show);
  return view;
}

function start(root) {
  if (root.dataset.mounted) return;
  mount(root, decoded(JSON.parse(root.querySelector(".lk-told").textContent)));
}
