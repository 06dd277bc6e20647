// Numbers and words as they were sent: arrays from base64, templates filled in as Python fills them in.
const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array, i2: Int16Array, u2: Uint16Array, i1: Int8Array, u1: Uint8Array };

function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== "object") return value;
  if (value.$ === "n") return Number(value.v);
  if (value.$) return rowsOf(unpacked(value), value.shape);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, decoded(inner)]));
}

function unpacked(value) {
  const bytes = Uint8Array.from(atob(value.b), (letter) => letter.charCodeAt(0));
  return new KINDS[value.$](bytes.buffer);
}

// An array of typed arrays, nested as deep as the shape is long.
function rowsOf(flat, shape) {
  if (shape.length === 1) return flat;
  const size = flat.length / shape[0] || 0;
  return Array.from({ length: shape[0] }, (_, i) => rowsOf(flat.subarray(i * size, (i + 1) * size), shape.slice(1)));
}

const isList = (value) => Array.isArray(value) || ArrayBuffer.isView(value);

function general(x, digits) {
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e").map(Number);
  if (power >= -4 && power < digits) return String(Number(x.toPrecision(digits)));
  return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

function formatted(x, spec) {
  const [, plus, digits, kind] = /^(\+?)(?:\.(\d+))?([dgf%]?)$/.exec(spec);
  if (kind === "d") return String(Math.round(x));
  if (kind !== "g" && Math.abs(x) >= 1e19) return general(x, 6);
  const plain = kind === "" || kind === "g";
  const text = plain ? general(x, Number(digits || 6)) : kind === "%" ? `${(100 * x).toFixed(digits)}%` : x.toFixed(digits);
  return plus && x >= 0 ? `+${text}` : text;
}

function said(value, spec = "") {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const text = formatted(value, spec);
  if (text[0] !== "-" || text.includes("e")) return text;
  return `${/[1-9]/.test(text) ? "−" : ""}${text.slice(1)}`;
}

// The template with its numbers; `look` finds the value of a name.
function fill(template, look) {
  return template.replace(/\{([\w.]+)(?::([^}]*))?\}/g, (_, name, spec) => said(look(name), spec));
}

const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

// A slot of a mark or an axis: "$name" is what is shown under that name.
const slot = (value, shown) => (typeof value === "string" && value[0] === "$" ? shown[value.slice(1)] : value);

// The i-th of several, or the one there is.
const pick = (value, i) => (isList(value) ? value[i] : value);
