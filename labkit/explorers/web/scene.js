// Panels: where they lie, their scales, axes, titles and marks, as SVG text.
const TICK = 12, TITLE = 13.5, WIDE = 6.9; // sizes of letters, and how wide one is, in pixels

const across = (text, size = TICK) => String(text).length * WIDE * (size / 12.5);

// Where the axis begins and ends: as told, or around the marks.
function bounds(axis, letter, panel, shown) {
  const told = [slot(axis.low, shown), slot(axis.high, shown)];
  if (told.every((end) => end !== null && end !== undefined)) return told;
  const values = panel.marks.flatMap((m) => reach(m, letter, shown)).filter((v) => Number.isFinite(v) && (!axis.log || v > 0));
  const low = Math.min(...values), high = Math.max(...values);
  if (!values.length) return [0, 1];
  const pad = (high - low || 1) * 0.05, around = axis.log ? [low / 1.15, high * 1.15] : [low - pad, high + pad];
  return told.map((end, k) => end ?? around[k]);
}

const numbers = (value) => (isList(value) ? Array.from(value).flatMap(numbers) : [value]);

// All numbers of a mark along one axis.
function reach(mark, letter, shown) {
  const m = mark.slots, get = (name) => numbers(slot(m[name] ?? [], shown));
  if (mark.kind === "image") return letter === "x" ? m.extent.slice(0, 2) : m.extent.slice(2);
  if (mark.kind === "bars" && letter === "y") return [...get("base"), ...get("height")];
  if (mark.kind === "bars") return get("x").flatMap((x) => [x - m.width / 2, x + m.width / 2]);
  if (mark.kind === "area" && letter === "y") return [...get("low"), ...get("high")];
  if (mark.kind === "rects") return [...get(`${letter}0`), ...get(`${letter}1`)];
  return get(letter);
}

function ticked(axis, low, high, length, shown) {
  const given = slot(axis.ticks, shown);
  if (given) return [...given].filter((v) => v >= Math.min(low, high) - 1e-9 && v <= Math.max(low, high) + 1e-9);
  if (axis.log) return decades(low, high, length);
  return even(Math.min(low, high), Math.max(low, high), Math.max(2, length / 60));
}

// Round numbers at even steps, about so many, but not fewer than two: one alone is no scale.
function even(low, high, wish) {
  const size = (high - low) / wish || 1, power = 10 ** Math.floor(Math.log10(size));
  const steps = [10, 5, 2, 1, 0.5, 0.2, 0.1].map((s) => s * power), fine = steps.filter((s) => s >= size * (1 - 1e-9)).length - 1;
  for (const step of steps.slice(fine)) {
    const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
    if (last > first) return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(10)));
  }
  return [];
}

function decades(low, high, length) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let k = first; k <= last; k++) found.push(...steps.map((s) => Number((s * 10 ** k).toPrecision(3))));
    const fit = found.filter((v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9));
    if (fit.length * 42 <= length || steps.length === 1) return fit.length > 1 ? fit : even(low, high, 3);
  }
  return [];
}

function scaled(low, high, from, to, log) {
  const turn = log ? Math.log : (v) => v, [a, b] = [turn(low), turn(high)];
  const place = (v) => from + ((turn(v) - a) / (b - a)) * (to - from);
  place.back = (p) => (log ? Math.exp : (v) => v)(a + ((p - from) / (to - from)) * (b - a));
  return place;
}

function wrapped(text, room, size) {
  const most = Math.max(8, Math.floor(room / (WIDE * (size / 12.5) * 1.04)));
  return text.split("\n").flatMap((line) => {
    const lines = [""];
    for (const word of line.split(" ")) {
      const longer = `${lines[lines.length - 1]} ${word}`.trim();
      if (longer.length > most && lines[lines.length - 1]) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  });
}

// A panel's place on the figure: its title, what its axes need, and its scales.
function placed(panel, size, shown, look) {
  const [l, t, r, b] = panel.at, outer = [l * size.width, t * size.height, r * size.width, b * size.height];
  const title = panel.title ? wrapped(fill(panel.title, look), outer[2] - outer[0] - 12, TITLE) : [];
  const [xs, ys] = [bounds(panel.x, "x", panel, shown), bounds(panel.y, "y", panel, shown)];
  const top = outer[1] + 11 + 18 * title.length, bottom = outer[3] - (panel.x.hidden ? 6 : 22 + (panel.x.label ? 17 : 0));
  const up = panel.y.hidden ? [] : ticked(panel.y, ...ys, bottom - top, shown);
  const words = up.map((v) => worded(panel.y, v, shown));
  const left = outer[0] + (panel.y.hidden ? 6 : 10 + Math.max(0, ...words.map((w) => across(w))) + (panel.y.label ? 17 : 0));
  const labels = panel.marks.filter((m) => m.kind === "line" && m.slots.label).map((m) => fill(m.slots.label, look));
  const right = outer[2] - 10 - (labels.length ? 6 + Math.max(...labels.map((w) => across(w))) : 0);
  let box = { left, top, right: Math.max(right, left + 20), bottom };
  if (panel.equal) box = squared(box, Math.abs(xs[1] - xs[0]), Math.abs(ys[1] - ys[0]));
  const g = { outer, title, box, xs, ys, up, words };
  g.x = scaled(...xs, box.left, box.right, panel.x.log);
  g.y = scaled(...ys, box.bottom, box.top, panel.y.log);
  return g;
}

function squared(box, wide, high) {
  const unit = Math.min((box.right - box.left) / wide, (box.bottom - box.top) / high);
  const [dx, dy] = [(box.right - box.left - unit * wide) / 2, box.bottom - box.top - unit * high];
  return { left: box.left + dx, right: box.right - dx, top: box.top + dy / 2, bottom: box.bottom - dy / 2 };
}

const worded = (axis, value, shown) => {
  const words = slot(axis.words, shown);
  return words ? String(words[slot(axis.ticks, shown).indexOf(value)]) : said(value, axis.format);
};

function framed(panel, g, shown, look) {
  const { left, right, top, bottom } = g.box, plain = 'fill="var(--lk-ink)"';
  const heading = (k) => `x="${px(g.outer[0] + 6)}" y="${px(g.outer[1] + 16 + 18 * k)}" font-size="${TITLE}"`;
  let made = g.title.map((line, k) => `<text ${heading(k)} font-weight="700" ${plain}>${escaped(line)}</text>`).join("");
  if (!panel.y.hidden) {
    g.up.forEach((v, k) => {
      const y = px(g.y(v));
      made += `<path d="M${px(left)} ${y}H${px(right)}" stroke="var(--lk-grid)"/>` +
        `<text x="${px(left - 6)}" y="${y + 4}" font-size="${TICK}" text-anchor="end" fill="var(--lk-muted)">${escaped(g.words[k])}</text>`;
    });
    const middle = px((top + bottom) / 2), at = px(g.outer[0] + 13);
    const words = escaped(fill(panel.y.label, look)), turned = `translate(${at} ${middle}) rotate(-90)`;
    if (words) made += `<text transform="${turned}" font-size="12.5" text-anchor="middle" ${plain}>${words}</text>`;
  }
  if (!panel.x.hidden) {
    made += `<path d="M${px(left)} ${px(bottom)}H${px(right)}" stroke="var(--lk-muted)"/>`;
    const ticks = ticked(panel.x, ...g.xs, right - left, shown).map((v) => [g.x(v), worded(panel.x, v, shown)]);
    for (const [x, word] of spaced(ticks)) {
      const at = `x="${px(x)}" y="${px(bottom + 17)}" font-size="${TICK}" text-anchor="middle" fill="var(--lk-muted)"`;
      made += `<path d="M${px(x)} ${px(bottom)}v4" stroke="var(--lk-muted)"/><text ${at}>${escaped(word)}</text>`;
    }
    const words = escaped(fill(panel.x.label, look)), at = `x="${px((left + right) / 2)}" y="${px(bottom + 34)}"`;
    if (words) made += `<text ${at} font-size="12.5" text-anchor="middle" ${plain}>${words}</text>`;
  }
  return made;
}

// Ticks whose words would run into the one before are left out.
function spaced(ticks) {
  let end = -Infinity;
  return ticks.filter(([x, word]) => {
    const half = across(word) / 2, fits = x - half >= end + 4;
    if (fits) end = x + half;
    return fits;
  });
}

// Names of lines at their right ends, and of rules; moved apart where they would lie over each other.
function labelled(panel, g, shown, look) {
  const found = panel.marks.filter((m) => m.slots.label).map((m) => labelOf(m, g, shown, look))
    .filter((f) => f && f.words && Number.isFinite(f.x) && Number.isFinite(f.y));
  const ends = found.filter((f) => f.end).sort((a, b) => a.y - b.y);
  for (let k = 1; k < ends.length; k++) ends[k].y = Math.max(ends[k].y, ends[k - 1].y + 14);
  const over = ends.length ? Math.max(0, ends[ends.length - 1].y - g.box.bottom - 8) : 0;
  for (let k = ends.length - 1, limit = Infinity; over && k >= 0; k--) limit = (ends[k].y = Math.min(ends[k].y - over, limit)) - 14;
  const at = (f) => `x="${px(f.x)}" y="${px(f.y + 4)}" font-size="${TICK}" text-anchor="${f.anchor}" fill="${f.color}"`;
  return found.map((f) => `<text ${at(f)}${f.end ? "" : HALO}>${escaped(f.words)}</text>`).join("");
}

function labelOf(mark, g, shown, look) {
  const m = mark.slots, words = fill(m.label, look), color = lettersIn(colored(m.color, shown, 0));
  if (mark.kind === "rule") {
    if (slot(m.y, shown) === null) return { x: g.x(pick(slot(m.x, shown), 0)) + 5, y: g.box.top + 8, anchor: "start", words, color };
    return { x: g.box.left + 4, y: g.y(pick(slot(m.y, shown), 0)) - 10, anchor: "start", words, color };
  }
  const xs = slot(m.x, shown), ys = slot(m.y, shown);
  let last = ys.length - 1;
  while (last > 0 && !Number.isFinite(g.y(ys[last]))) last--;
  const y = Math.min(Math.max(g.y(ys[last]), g.box.top), g.box.bottom);
  return Number.isFinite(y) ? { x: Math.max(g.x(xs[last]), g.box.right) + 6, y, anchor: "start", end: true, words, color } : null;
}

// One panel: its frame, its marks (each on its own, so that only what changed is drawn anew), its labels.
function drawn(panel, size, shown, look, key) {
  const g = placed(panel, size, shown, look), { left, right, top, bottom } = g.box;
  const marks = panel.marks.map((m) => MARKS[m.kind](m.slots, shown, g, look));
  const room = `width="${px(right - left + 14)}" height="${px(bottom - top + 14)}"`; // a point on the edge is whole
  const clip = `<clipPath id="${key}"><rect x="${px(left - 7)}" y="${px(top - 7)}" ${room}/></clipPath>`;
  return { g, frame: clip + framed(panel, g, shown, look), marks, labels: labelled(panel, g, shown, look) };
}
