// Marks as SVG text. `g` holds the panel's scales, `x` and `y` in pixels; every slot may be one value or several.
const NAMES = new Set("blue vermilion green purple sky orange yellow ink muted grid paper dark".split(" "));

const named = (color) => (NAMES.has(color) ? `var(--lk-${color})` : color);

// Letters need more contrast than areas.
const lettersIn = (color) => color.replace(/^var\(--lk-(\w+)\)$/, "var(--lk-$1-text, var(--lk-$1))");

// The colour of the i-th element: one name, a list of names, one for each category, or a place on a map.
function colored(color, shown, i) {
  if (typeof color === "string") return named(pick(slot(color, shown), i));
  if (isList(color)) return named(color[i]);
  const value = pick(slot(color.by, shown), i);
  if (color.palette) return named(color.palette[((value % color.palette.length) + color.palette.length) % color.palette.length]);
  return mapped((value - color.low) / (color.high - color.low), PALETTE.maps[color.map]);
}

function mapped(share, stops) {
  const place = Math.min(Math.max(share || 0, 0), 1) * (stops.length - 1), k = Math.min(Math.floor(place), stops.length - 2);
  return `rgb(${stops[k].map((low, c) => Math.round(low + (place - k) * (stops[k + 1][c] - low))).join(",")})`;
}

const px = (x) => Math.round(10 * x) / 10;
const DASHES = { dash: ' stroke-dasharray="6 4"', dot: ' stroke-dasharray="2 3"' };

const stroke = (color, width, dash, opacity = 1) =>
  `fill="none" stroke="${color}" stroke-width="${width}" stroke-linejoin="round" opacity="${opacity}"${DASHES[dash] || ""}`;

// A path through the points that there are; a gap where one is missing.
function path(xs, ys, g) {
  let made = "", pen = "M";
  for (let i = 0; i < ys.length; i++) {
    const x = g.x(xs[i]), y = g.y(ys[i]);
    if (!Number.isFinite(x) || !Number.isFinite(y)) pen = "M";
    else [made, pen] = [`${made}${pen}${px(x)} ${px(y)}`, "L"];
  }
  return made;
}

const SHAPES = {
  star: (r) => Array.from({ length: 10 }, (_, k) => [k % 2 ? 0.45 * r : 1.2 * r, (Math.PI * (k - 2.5)) / 5])
    .map(([s, a]) => `${px(s * Math.cos(a))} ${px(s * Math.sin(a))}`).join("L"),
  square: (r) => `${-r} ${-r}L${r} ${-r}L${r} ${r}L${-r} ${r}`,
  diamond: (r) => `0 ${-1.2 * r}L${1.2 * r} 0L0 ${1.2 * r}L${-1.2 * r} 0`,
};

function symbol(kind, x, y, r, fill, opacity) {
  if (kind === "circle") return `<circle cx="${px(x)}" cy="${px(y)}" r="${px(r)}" fill="${fill}" opacity="${opacity}"/>`;
  const place = `transform="translate(${px(x)} ${px(y)})" opacity="${opacity}"`;
  if (kind === "cross") return `<path d="M${-r} ${-r}L${r} ${r}M${-r} ${r}L${r} ${-r}" stroke="${fill}" stroke-width="2.5" ${place}/>`;
  const rim = kind === "star" ? ' stroke="var(--lk-ink)" stroke-width="1.2"' : "";
  return `<path d="M${SHAPES[kind](r)}Z" fill="${fill}"${rim} ${place}/>`;
}

function arrow(x0, y0, x1, y1, color, width, opacity) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (!(length > 0.5)) return "";
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length], head = Math.min(4 + 2 * width, length);
  const [bx, by] = [x1 - head * ux, y1 - head * uy], half = head * 0.45;
  const tip = `M${px(x1)} ${px(y1)}L${px(bx - half * uy)} ${px(by + half * ux)}L${px(bx + half * uy)} ${px(by - half * ux)}Z`;
  return `<g opacity="${opacity}"><path d="M${px(x0)} ${px(y0)}L${px(bx)} ${px(by)}" stroke="${color}" stroke-width="${width}"/>` +
    `<path d="${tip}" fill="${color}"/></g>`;
}

function box(x0, x1, y0, y1, color, opacity) {
  const [left, top] = [Math.min(x0, x1), Math.min(y0, y1)];
  const [width, height] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
  return `<rect x="${px(left)}" y="${px(top)}" width="${px(width)}" height="${px(height)}" fill="${color}" opacity="${opacity}"/>`;
}

const count = (...slots) => Math.max(1, ...slots.filter(isList).map((s) => s.length));
const each = (n, make) => Array.from({ length: n }, (_, i) => make(i)).join("");

// Where the bar of one element stands, in pixels: left, right, bottom, top.
function barred(m, shown, g, i) {
  const [x, height, base] = ["x", "height", "base"].map((name) => pick(slot(m[name], shown), i));
  return [g.x(x - m.width / 2), g.x(x + m.width / 2), g.y(base), g.y(base + height)];
}

const boxed = (m, shown, g, i) => ["x0", "x1", "y0", "y1"].map((name, k) => (k < 2 ? g.x : g.y)(pick(slot(m[name], shown), i)));

const HALO = ' paint-order="stroke" stroke="var(--lk-paper)" stroke-width="3.5" stroke-linejoin="round"';

const MARKS = {
  line(m, shown, g) {
    const x = slot(m.x, shown), y = slot(m.y, shown);
    const lines = isList(y[0]) ? Array.from(y) : [y];
    return lines.map((row, i) =>
      `<path d="${path(isList(x[0]) ? x[i] : x, row, g)}" ${stroke(colored(m.color, shown, i), m.width, m.dash, m.opacity)}/>`).join("");
  },
  area(m, shown, g) {
    const x = Array.from(slot(m.x, shown)), [low, high] = [m.low, m.high].map((s) => slot(s, shown));
    const ys = [...x.map((_, i) => pick(high, i)), ...x.map((_, i) => pick(low, x.length - 1 - i))];
    const d = path([...x, ...[...x].reverse()], ys, g);
    return d && `<path d="${d}Z" fill="${colored(m.color, shown, 0)}" opacity="${m.opacity}"/>`;
  },
  bars(m, shown, g) {
    const n = count(slot(m.x, shown), slot(m.height, shown));
    return each(n, (i) => box(...barred(m, shown, g, i), colored(m.color, shown, i), pick(slot(m.opacity, shown), i)));
  },
  rects(m, shown, g) {
    const n = count(...["x0", "x1", "y0", "y1"].map((name) => slot(m[name], shown)));
    return each(n, (i) => box(...boxed(m, shown, g, i), colored(m.color, shown, i), pick(slot(m.opacity, shown), i)));
  },
  points(m, shown, g) {
    const [x, y, size, opacity] = [m.x, m.y, m.size, m.opacity].map((s) => slot(s, shown));
    return each(count(x, y), (i) => {
      const [at, up] = [g.x(pick(x, i)), g.y(pick(y, i))];
      if (!Number.isFinite(at) || !Number.isFinite(up)) return "";
      return symbol(m.symbol, at, up, pick(size, i) / 2, colored(m.color, shown, i), pick(opacity, i));
    });
  },
  arrows(m, shown, g) {
    const [x, y, dx, dy, opacity] = [m.x, m.y, m.dx, m.dy, m.opacity].map((s) => slot(s, shown));
    return each(count(x, y, dx, dy), (i) => {
      const [x0, y0] = [pick(x, i), pick(y, i)], ends = [g.x(x0), g.y(y0), g.x(x0 + pick(dx, i)), g.y(y0 + pick(dy, i))];
      return ends.every(Number.isFinite) ? arrow(...ends, colored(m.color, shown, i), m.width, pick(opacity, i)) : "";
    });
  },
  text(m, shown, g, look) {
    const [x, y, words] = [m.x, m.y, m.words].map((s) => slot(s, shown));
    const weight = (m.bold ? ' font-weight="700"' : "") + (m.halo ? HALO : "");
    return each(count(x, y, words), (i) => {
      const [at, up, line] = [g.x(pick(x, i)), g.y(pick(y, i)), fill(String(pick(words, i)), look)];
      if (!line || !Number.isFinite(at) || !Number.isFinite(up)) return "";
      const attributes = `font-size="${m.size}" text-anchor="${m.anchor}" fill="${lettersIn(colored(m.color, shown, i))}"${weight}`;
      return lettered(at, up + 0.35 * m.size, line, attributes, m.size);
    });
  },
  image(m, shown, g) {
    const values = slot(m.values, shown), [rows, columns] = [values.length, values[0].length];
    const [left, right, bottom, top] = [g.x(m.extent[0]), g.x(m.extent[1]), g.y(m.extent[2]), g.y(m.extent[3])];
    const url = pictured(values, rows, columns, m);
    return `<image href="${url}" x="${px(left)}" y="${px(top)}" width="${px(right - left)}" height="${px(bottom - top)}" ` +
      `preserveAspectRatio="none" style="image-rendering:pixelated" opacity="${m.opacity}"/>`;
  },
  rule(m, shown, g) {
    const [x, y] = [slot(m.x, shown), slot(m.y, shown)], { left, right, top, bottom } = g.box;
    return each(count(x, y), (i) => {
      const [at, up] = [x === null ? null : g.x(pick(x, i)), y === null ? null : g.y(pick(y, i))];
      const d = up === null ? `M${px(at)} ${top}L${px(at)} ${bottom}` : `M${left} ${px(up)}L${right} ${px(up)}`;
      return d.includes("NaN") ? "" : `<path d="${d}" ${stroke(colored(m.color, shown, i), m.width, m.dash)}/>`;
    });
  },
};

// Words, which may run over several lines.
function lettered(x, y, words, attributes, size) {
  const lines = words.split("\n");
  const spans = lines.length < 2 ? escaped(words)
    : lines.map((line, k) => `<tspan x="${px(x)}" dy="${k ? 1.25 * size : 0}">${escaped(line)}</tspan>`).join("");
  return `<text x="${px(x)}" y="${px(y)}" ${attributes}>${spans}</text>`;
}

function pictured(values, rows, columns, m) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(columns, rows);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = values[r][c], at = 4 * (r * columns + c);
      const rgb = mapped((value - m.low) / (m.high - m.low), PALETTE.maps[m.map]).slice(4, -1).split(",").map(Number);
      pixels.data.set([...rgb, Number.isFinite(value) ? 255 : 0], at);
    }
  }
  pen.putImageData(pixels, 0, 0);
  return canvas.toDataURL();
}
