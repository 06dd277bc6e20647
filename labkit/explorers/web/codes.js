// State codes, as `labkit.explorers.codes` writes and reads them.
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
const REACH = 2, STEP = 1000, MOST = 4096n, SIDE = 4001n;

function checksum(text) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return toBase(BigInt((~crc >>> 0) & 0xfffff), 4);
}

function toBase(number, width = 1) {
  let made = "";
  for (; number > 0n; number /= 32n) made = DIGITS[Number(number % 32n)] + made;
  return made.padStart(width, "0");
}

const fromBase = (body) => [...body].reduce((number, letter) => number * 32n + BigInt(DIGITS.indexOf(letter)), 0n);
const clamped = (x) => Math.min(Math.max(x, -REACH), REACH);
const steps = (x) => BigInt(Math.round((clamped(x) + REACH) * STEP));

function written(told, state) {
  let number = 0n;
  for (const c of told.controls) number = number * BigInt(c.options.length) + BigInt(c.options.indexOf(state[c.name]));
  if ("moved" in state) {
    number = number * 2n + (state.moved ? 1n : 0n);
    if (state.moved) {
      const [point, x, y] = state.moved;
      number = ((number * MOST + BigInt(point)) * SIDE + steps(x)) * SIDE + steps(y);
    }
  }
  const head = `${told.name}${told.version}`, body = toBase(number);
  return `${head}-${body}-${checksum(`${head}-${body}-${told.signature}`)}`;
}

// The state that a code names, or an error that says what is wrong with it.
function read(told, code) {
  const found = /^([a-z_]+)(\d+)-([0-9a-z]+)-([0-9a-z]{4})$/.exec(code.trim().toLowerCase());
  if (!found) throw new Error(`a code looks like ${written(told, told.start)}`);
  const [name, version] = [found[1], Number(found[2])];
  const [body, check] = [found[3], found[4]].map((text) => text.replace(/o/g, "0").replace(/[il]/g, "1"));
  if (name !== told.name) throw new Error(`this code belongs to the explorer ${name}`);
  if (version !== told.version) throw new Error(`this code is of version ${version}; here is version ${told.version}`);
  const head = `${name}${version}`;
  if ((body + check).includes("u") || check !== checksum(`${head}-${body}-${told.signature}`)) {
    throw new Error("this code is damaged, or was made for other options or data: copy it again");
  }
  return unfolded(told, fromBase(body));
}

function unfolded(told, number) {
  const state = {}, size = told.controls.reduce((made, c) => made * BigInt(c.options.length), 1n);
  if ("moved" in told.start) {
    state.moved = null;
    if (number >= 2n * size) {
      const y = number % SIDE, x = (number / SIDE) % SIDE, point = (number / SIDE / SIDE) % MOST;
      state.moved = [Number(point), ...[x, y].map((s) => (Number(s) - REACH * STEP) / STEP)];
      number = number / SIDE / SIDE / MOST;
    }
    number /= 2n;
  }
  for (const c of [...told.controls].reverse()) {
    state[c.name] = c.options[Number(number % BigInt(c.options.length))];
    number /= BigInt(c.options.length);
  }
  if (number) throw new Error("this code is damaged: it names a state that there is not");
  return state;
}
