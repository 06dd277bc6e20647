// The mouse (or finger, or pen) on the figure: words over what it points at, points that are dragged, cursors that are moved.
const NEAR = 18, CLICK = 3; // pixels: how near is near, and how far a point moves before it is dragged and not clicked

const inBox = (box, x, y, room) => x >= box.left - room && x <= box.right + room && y >= box.top - room && y <= box.bottom + room;

// Where the elements of a mark stand: distance from the pointer, in pixels.
const DISTANCES = {
  points(m, shown, g, x, y) {
    const [xs, ys, sizes] = [m.x, m.y, m.size].map((s) => slot(s, shown));
    return Array.from({ length: count(xs, ys) }, (_, i) =>
      Math.max(0, Math.hypot(g.x(pick(xs, i)) - x, g.y(pick(ys, i)) - y) - pick(sizes, i) / 2));
  },
  arrows(m, shown, g, x, y) {
    const [xs, ys, dxs, dys] = [m.x, m.y, m.dx, m.dy].map((s) => slot(s, shown));
    return Array.from({ length: count(xs, ys, dxs, dys) }, (_, i) => {
      const [x0, y0] = [pick(xs, i), pick(ys, i)];
      return toSegment(x, y, g.x(x0), g.y(y0), g.x(x0 + pick(dxs, i)), g.y(y0 + pick(dys, i)));
    });
  },
  bars: (m, shown, g, x, y) =>
    Array.from({ length: count(slot(m.x, shown), slot(m.height, shown)) }, (_, i) => toBox(x, y, barred(m, shown, g, i))),
  rects: (m, shown, g, x, y) =>
    Array.from({ length: count(...["x0", "x1", "y0", "y1"].map((n) => slot(m[n], shown))) }, (_, i) => toBox(x, y, boxed(m, shown, g, i))),
};

function toSegment(x, y, x0, y0, x1, y1) {
  const [dx, dy] = [x1 - x0, y1 - y0], share = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1);
  const at = Math.min(Math.max(share, 0), 1);
  return Math.hypot(x - x0 - at * dx, y - y0 - at * dy);
}

function toBox(x, y, [x0, x1, y0, y1]) {
  const beyond = (v, a, b) => Math.max(Math.min(a, b) - v, v - Math.max(a, b), 0);
  return 3 * Math.hypot(beyond(x, x0, x1), beyond(y, y0, y1)); // a bar is pointed at only from close by
}

// The element nearest to the pointer among marks that `wanted` accepts.
function nearby(view, x, y, wanted) {
  let best = null;
  view.panels.forEach(({ panel, g }) => {
    if (!inBox(g.box, x, y, NEAR)) return;
    panel.marks.forEach((mark) => {
      if (!wanted(mark.slots) || !DISTANCES[mark.kind]) return;
      DISTANCES[mark.kind](mark.slots, view.shown, g, x, y).forEach((distance, i) => {
        if (distance <= NEAR && (!best || distance < best.distance)) best = { mark, panel, g, i, distance };
      });
    });
  });
  return best;
}

// Whether the reader may set this field: a control that an instructor hid stays where it is.
const offered = (view, name) => view.told.controls.some((c) => c.name === name && !c.hidden && isSeen(c, view.state));

function pointed(view) {
  const { svg, tip } = view, picks = (m) => m.pick && offered(view, m.pick);
  let held = null;
  const place = (event) => {
    const frame = svg.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  const follow = (x, y) => {
    if (held.i === undefined) return view.change({ [held.panel.cursor]: closest(view.told, held.panel, held.g.x.back(x)) });
    held.going ||= Math.hypot(x - held.from[0], y - held.from[1]) > CLICK;
    if (held.going) view.change({ moved: [held.i, ...[held.g.x.back(x), held.g.y.back(y)].map(thousandths)] });
  };
  svg.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event), point = nearby(view, x, y, (m) => m.drag);
    const panel = view.panels.find(({ panel: p, g }) => p.cursor && offered(view, p.cursor) && inBox(g.box, x, y, 6));
    held = point ? { ...point, from: [x, y] } : panel || null;
    const chosen = !held && nearby(view, x, y, picks);
    if (chosen) view.change({ [chosen.mark.slots.pick]: chosen.i });
    if (!held) return;
    view.current = point ? point.i : view.current;
    svg.setPointerCapture(event.pointerId);
    tip.hidden = true;
    if (!point) follow(x, y);
  });
  svg.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (held) follow(x, y);
    else hover(view, x, y);
  });
  svg.addEventListener("pointerup", () => { // a point that was not moved was clicked
    if (held?.from && !held.going && picks(held.mark.slots)) view.change({ [held.mark.slots.pick]: held.i });
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (held = null));
  svg.addEventListener("pointerleave", () => (tip.hidden = true));
}

const thousandths = (x) => Math.round(1000 * clamped(x)) / 1000;

// The option of the panel's control that lies nearest on its axis.
function closest(told, panel, x) {
  const turn = panel.x.log ? (v) => Math.log(Math.max(v, 1e-12)) : (v) => v;
  const options = told.controls.find((c) => c.name === panel.cursor).options;
  return options.reduce((best, v) => (Math.abs(turn(v) - turn(x)) < Math.abs(turn(best) - turn(x)) ? v : best));
}

function hover(view, x, y) {
  const { tip, svg, shown, state } = view, found = nearby(view, x, y, (m) => m.hover);
  const grip = nearby(view, x, y, (m) => m.drag || (m.pick && offered(view, m.pick)));
  svg.style.cursor = grip ? (grip.mark.slots.drag ? "grab" : "pointer") : "";
  tip.hidden = !found;
  if (!found) return;
  tip.textContent = fill(found.mark.slots.hover, (name) => pick(name in shown ? shown[name] : state[name], found.i));
  const left = Math.min(x + 14, svg.clientWidth - tip.offsetWidth - 4);
  tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, y - tip.offsetHeight - 10)}px)`;
}

// The keys on a figure whose points can be moved: n and p choose the next and the one before, arrows move it.
function keyed(view) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  view.svg.addEventListener("keydown", (event) => {
    const found = movable(view), next = { n: 1, p: -1 }[event.key], way = ways[event.key];
    if (!found || !(next || way)) return;
    event.preventDefault();
    const { xs, ys } = found, n = count(xs, ys), i = ((view.current ?? 0) + (next || 0) + n) % n;
    view.current = i;
    if (next) return ringed(view);
    const [dx, dy] = way.map((d) => d * (event.shiftKey ? 0.1 : 0.02));
    view.change({ moved: [i, thousandths(pick(xs, i) + dx), thousandths(pick(ys, i) + dy)] });
  });
  for (const turn of ["focus", "blur"]) view.svg.addEventListener(turn, () => ringed(view));
}

// A ring around the point that the keys move, while they are with the figure.
function ringed(view) {
  const found = document.activeElement === view.svg && movable(view), i = view.current ?? 0;
  if (!found) return put(view.ring, "");
  const { g, xs, ys, mark } = found, r = pick(slot(mark.slots.size, view.shown), i) / 2 + 5;
  const at = `cx="${px(g.x(pick(xs, i)))}" cy="${px(g.y(pick(ys, i)))}" r="${px(r)}"`;
  return put(view.ring, `<circle ${at} fill="none" stroke="var(--lk-orange)" stroke-width="2.5" stroke-dasharray="4 3"/>`);
}

function movable(view) {
  for (const { panel, g } of view.panels) {
    const mark = panel.marks.find((m) => m.slots.drag);
    if (mark) return { mark, g, xs: slot(mark.slots.x, view.shown), ys: slot(mark.slots.y, view.shown) };
  }
  return null;
}
