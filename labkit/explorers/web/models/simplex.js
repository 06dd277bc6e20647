// The flow of a preference loss over a triangle of policies, as labkit/recipes/simplex*.py have it. A loss arrives as terms:
// what goes into which link. Points are [chosen, rejected, all others together]; policies have a probability for each answer.
models.simplex = (() => {
  const TOP = Math.sqrt(3) / 2;

  const total = (row) => row.reduce((s, x) => s + x, 0);
  const inner = (a, b) => {
    let made = 0;
    for (let k = 0; k < b.length; k++) made += a[k] * b[k];
    return made;
  };
  const plus = (a, b, times) => a.map((x, k) => x + times * b[k]);
  const length = (row) => Math.sqrt(inner(row, row));
  const normal = (logits) => {
    const most = Math.max(...logits), log = most + Math.log(total(logits.map((x) => Math.exp(x - most))));
    return logits.map((x) => x - log);
  };
  const amount = (told, state) =>
    Object.entries(told.powers).reduce((made, [name, power]) => made * state[name] ** power, told.times);

  // The terms of the loss with its arguments filled in.
  function filled(terms, state) {
    return terms.map((t) => {
      const made = { link: t.link, reference: t.reference, options: {} };
      for (const name of ["weight", "chosen", "rejected", "offset", "charge"]) made[name] = amount(t[name], state);
      for (const [name, told] of Object.entries(t.options)) made.options[name] = amount(told, state);
      return made;
    });
  }

  function flowOf(data, state) {
    const { w, l } = data, n = state.answers, terms = filled(data.terms[state.loss], state);
    const kernel = data.kernels[state.geometry].slice(0, n).map((row) => Array.from(row).slice(0, n));
    const start = spread(data, n, started(data, state));
    const reference = state.reference === "uniform" ? start.map(() => -Math.log(n)) : start.map(Math.log);
    const f = { w, l, n, kernel, start, reference, terms, bent: terms.some((t) => t.charge !== 0) };
    return { ...f, three: onTriangle(data, f), up: 0, down: 0, rise: 0, sink: 0 };
  }

  const started = (data, { moved }) => (moved ? inside(data, mixture(moved[1], moved[2])) : Array.from(data.start));

  function mixture(x, y) {
    const rest = y / TOP, rejected = x - rest / 2;
    return [1 - rejected - rest, rejected, rest];
  }

  function inside(data, point) {
    const held = point.map((p) => Math.max(p, data.least));
    return held.map((p) => p / total(held));
  }

  const place = ([, rejected, rest]) => [rejected + rest / 2, rest * TOP];

  function spread(data, n, [chosen, rejected, rest]) {
    const shares = data.others[String(n)];
    return Array.from({ length: n }, (_, k) => (k === data.w ? chosen : k === data.l ? rejected : rest * shares[k]));
  }

  const gathered = (f, p) => [p[f.w], p[f.l], total(p) - p[f.w] - p[f.l]];

  // Minus the slopes of the loss in the log-probabilities of chosen and rejected, left in f.up and f.down; above or below the
  // kink, where it has one.
  function push(f, chosen, rejected, side) {
    const [known, other] = [f.reference[f.w], f.reference[f.l]];
    let ratio = chosen - known;
    if (f.bent && side) ratio = side > 0 ? Math.max(ratio, 0) : Math.min(ratio, -1e-12);
    f.up = f.down = 0;
    for (const t of f.terms) {
      const up = t.reference ? ratio : ratio + known, down = t.reference ? rejected - other : rejected;
      const z = t.chosen * up + t.rejected * down + t.offset - t.charge * Math.max(0, -up);
      const pushed = -t.weight * slope(t.link, z, t.options);
      f.up += pushed * (t.chosen + (up < 0 ? t.charge : 0));
      f.down += pushed * t.rejected;
    }
  }

  // How fast the logits move, and the log-probabilities.
  function logits(f, logps, side) {
    push(f, logps[f.w], logps[f.l], side);
    const drive = logps.map((x) => -(f.up + f.down) * Math.exp(x));
    drive[f.w] += f.up;
    drive[f.l] += f.down;
    return f.kernel.map((row) => inner(row, drive));
  }

  function rates(f, logps, side) {
    const moved = logits(f, logps, side);
    let mean = 0;
    for (let k = 0; k < f.n; k++) mean += Math.exp(logps[k]) * moved[k];
    return moved.map((x) => x - mean);
  }

  // The kernel on the triangle: there a policy is a mixture of three, chosen, rejected and all others in their shares.
  function onTriangle(data, f) {
    const corners = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map((point) => spread(data, f.n, point));
    return corners.map((a) => corners.map((b) => inner(a, f.kernel.map((row) => inner(row, b)))));
  }

  // How fast the log-probabilities of chosen and rejected move at a point of the triangle, left in f.rise and f.sink.
  function moves(f, a, b, c) {
    push(f, Math.log(a), Math.log(b));
    const [A, B, C] = f.three, { up, down } = f, both = up + down;
    const qa = a * A[0] + b * A[1] + c * A[2], qb = a * B[0] + b * B[1] + c * B[2], qc = a * C[0] + b * C[1] + c * C[2];
    const mean = up * qa + down * qb - both * (a * qa + b * qb + c * qc);
    f.rise = up * A[0] + down * A[1] - both * qa - mean;
    f.sink = up * B[0] + down * B[1] - both * qb - mean;
  }

  function field(f, [a, b, c]) {
    moves(f, a, b, c);
    return [a * f.rise, b * f.sink, -a * f.rise - b * f.sink];
  }

  // ---------------------------------------------------------------- where both fall

  function edge(both, low, high, first, halvings) {
    for (let k = 0; k < halvings; k++) {
      const middle = (low + high) / 2;
      if (both(middle) === first) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  function runs(data, f, x, height) {
    const { samples, halvings, edge: rim } = data.region;
    const both = (share) => {
      const rest = (share * height) / TOP, rejected = x - rest / 2;
      moves(f, 1 - rejected - rest, rejected, rest);
      return f.rise < 0 && f.sink < 0;
    };
    const share = Array.from({ length: samples }, (_, j) => rim + ((1 - 2 * rim) * j) / (samples - 1));
    const found = share.map(both), ends = found[0] ? [0] : [];
    for (let j = 0; j + 1 < samples; j++) {
      if (found[j] !== found[j + 1]) ends.push(edge(both, share[j], share[j + 1], found[j], halvings));
    }
    if (found[samples - 1]) ends.push(1);
    return ends;
  }

  function region(data, f) {
    const n = data.region.columns, x = Array.from({ length: n }, (_, k) => (k + 0.5) / n);
    const low = [0, 1].map(() => new Float64Array(n).fill(NaN)), high = low.map((row) => row.slice());
    x.forEach((at, k) => {
      const height = 2 * TOP * Math.min(at, 1 - at), ends = runs(data, f, at, height);
      for (let r = 0; r < 2 && 2 * r < ends.length; r++) [low[r][k], high[r][k]] = [ends[2 * r] * height, ends[2 * r + 1] * height];
    });
    for (const r of [0, 1]) tapered(low[r], high[r], x.map((at) => 2 * TOP * Math.min(at, 1 - at)));
    const shaded = low.reduce((sum, row, r) => sum + total(high[r]) - total(row), 0);
    return { x, low, high, share: shaded / n / (TOP / 2) };
  }

  function tapered(low, high, height) {
    const known = Array.from(low.keys()).filter((k) => Number.isFinite(low[k]));
    for (const k of low.keys()) {
      if (!Number.isNaN(low[k])) continue;
      const nearest = known.reduce((best, j) => (Math.abs(j - k) < Math.abs(best - k) ? j : best), known[0]);
      low[k] = high[k] = known.length ? Math.min((low[nearest] + high[nearest]) / 2, height[k]) : 0;
    }
  }

  // ---------------------------------------------------------------- one path

  const margin = (f, row) => row[f.w] - row[f.l];
  const ratioOf = (f, logps) => logps[f.w] - f.reference[f.w];
  const onKink = (f, logps, { near }) => f.bent && Math.abs(ratioOf(f, logps)) < near;

  // What becomes of a policy on the kink: 0 stays on it, 1 and -1 leave it.
  function choice(f, logps) {
    const [above, below] = [1, -1].map((side) => rates(f, logps, side)[f.w]);
    return above < 0 && below > 0 ? 0 : above >= 0 ? 1 : -1;
  }

  function speed(walk, logps) {
    const { f, near } = walk, above = logits(f, logps, walk.mode || 1);
    let moved = above, most = length(above);
    if (walk.mode === 0) {
      const below = logits(f, logps, -1), [up, down] = [1, -1].map((side) => rates(f, logps, side)[f.w]);
      moved = above.map((x, k) => x + ((below[k] - x) * up) / (up - down));
      most += length(below);
    }
    const mean = total(moved) / f.n, centred = moved.map((x) => x - mean), long = length(centred);
    return centred.map((x) => (long > near * most ? x / long : 0));
  }

  const left = (walk, logps) => walk.margin - Math.abs(margin(walk.f, logps) - walk.began);

  function tried(walk, size) {
    const { f } = walk, k = [speed(walk, walk.at)];
    for (const part of [0.5, 0.5, 1]) k.push(speed(walk, normal(plus(walk.at, k[k.length - 1], part * size))));
    const made = normal(walk.at.map((x, i) => x + (size * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i])) / 6));
    if (k.some((moved) => inner(moved, k[0]) <= 0)) return [made, "at rest"];
    if (left(walk, made) < 0) return [made, "beyond"];
    if (f.bent && walk.mode === 0) return [made, choice(f, made) === 0 ? "" : "left"];
    if (f.bent && walk.mode * ratioOf(f, made) < -walk.near) return [made, "crossed"];
    return [made, ""];
  }

  function turn(walk, why) {
    walk.mode = why === "left" ? 1 : choice(walk.f, walk.at);
    if (walk.mode) walk.at = normal(plus(walk.at, speed(walk, walk.at), 4 * walk.near));
  }

  function begun(f, { near }, wanted) {
    const at = normal(f.start.map(Math.log)), walk = { f, near, at, margin: wanted, began: margin(f, at), mode: 1 };
    if (f.bent) walk.mode = onKink(f, at, { near }) ? choice(f, at) : Math.sign(ratioOf(f, at));
    return walk;
  }

  function walked(data, f, wanted) {
    const walk = begun(f, data.walk, wanted), along = f.kernel[f.w].map((x, k) => x - f.kernel[f.l][k]);
    const mean = total(along) / f.n;
    const long = (wanted * length(along.map((x) => x - mean))) / margin(f, along), points = [walk.at];
    const full = Math.max(data.walk.short, long / data.walk.steps);
    let size = full, why = "";
    while (points.length < data.walk.most) {
      const rest = left(walk, walk.at), [made, against] = tried(walk, size);
      if (against === "beyond" && rest > walk.near) {
        size *= ((1 - 1e-12) * rest) / (rest - left(walk, made));
        continue;
      }
      if (!against) {
        walk.at = made;
        if (size === full) points.push(made);
        continue;
      }
      [why, size] = [against, size / 2];
      if (against !== "beyond" && size > walk.near) continue;
      points.push(walk.at);
      if (why !== "crossed" && why !== "left") break;
      turn(walk, why);
      size = full;
    }
    const there = margin(f, walk.at) > walk.began ? "reached" : "given away";
    return { points, end: points.length >= data.walk.most ? "cut" : why === "beyond" ? there : "stalls" };
  }

  // Where any loss of the margin alone stands when it has won so much.
  function marginAlone(f, won) {
    const along = f.kernel[f.w].map((x, k) => x - f.kernel[f.l][k]);
    return normal(plus(f.start.map(Math.log), along, won / margin(f, along)));
  }

  // ---------------------------------------------------------------- what is shown

  function arrowsOf(data, f) {
    const points = [], n = data.sides;
    for (let j = 1; j < n; j++) for (let i = 1; i + j < n; i++) points.push([(n - i - j) / n, i / n, j / n]);
    const flow = points.map((point) => field(f, point));
    const [at, by] = [points.map(place), flow.map(place)], speeds = by.map(([x, y]) => Math.hypot(x, y));
    const most = Math.max(...speeds), long = speeds.map((s) => (s > 0 ? data.arrow * (s / most) ** data.root / s : 0));
    return {
      flow, speed: speeds, flow_points: points,
      arrow_dx: by.map(([x], k) => x * long[k]), arrow_dy: by.map(([, y], k) => y * long[k]),
      arrow_x: at.map(([x], k) => x - (by[k][0] * long[k]) / 2), arrow_y: at.map(([, y], k) => y - (by[k][1] * long[k]) / 2),
    };
  }

  const changes = (f, path) => {
    const rows = path.map((logps) => gathered(f, logps.map(Math.exp)).map(Math.log));
    return [0, 1, 2].map((k) => rows.map((row) => row[k] - rows[0][k]));
  };

  function outcome(found, won, change) {
    if (found.end === "cut") return "cut";
    if (found.end === "stalls" && Math.abs(won) < 1e-6) return "stays";
    if (won < 0) return found.end === "given away" ? "backwards" : "rests";
    if (found.end === "stalls") return "stalls";
    return change > 1e-6 ? "rose" : change < -1e-6 ? "fell" : "held";
  }

  function pathOf(data, f, state) {
    const found = walked(data, f, state.margin), { points } = found, ends = points[points.length - 1];
    const won = points.map((row) => margin(f, row) - margin(f, points[0])), last = won[won.length - 1];
    const alone = won.map((m) => marginAlone(f, m)), [chosen, rejected, rest] = changes(f, points);
    const ghosts = Array.from({ length: data.ghost + 1 }, (_, k) => (state.margin * k) / data.ghost);
    const ghost = ghosts.map((m) => marginAlone(f, m));
    const at = points.map((row) => place(gathered(f, row.map(Math.exp)))), by = ghost.map((row) => place(gathered(f, row.map(Math.exp))));
    return {
      path_x: at.map((p) => p[0]), path_y: at.map((p) => p[1]), ghost_x: by.map((p) => p[0]), ghost_y: by.map((p) => p[1]),
      won, chosen_change: chosen, rejected_change: rejected, others_change: rest,
      ghost_won: ghosts, ghost_change: changes(f, ghost)[0],
      end: found.end, outcome: outcome(found, last, chosen[chosen.length - 1]), margin_won: last,
      walked: Math.round(1000 * Math.abs(last)) / 1000,
      chosen_fall: chosen[chosen.length - 1], rejected_fall: rejected[rejected.length - 1],
      ...mass(data, f, points[0].map(Math.exp), ends.map(Math.exp), Math.exp(alone[alone.length - 1][f.w])),
    };
  }

  function mass(data, f, before, after, alone) {
    const gain = after.map((p, k) => p - before[k]), best = gain.indexOf(Math.max(...gain));
    const [end, start] = [gathered(f, after), gathered(f, before)];
    return {
      chosen_start: start[0], rejected_start: start[1], chosen_end: end[0], rejected_end: end[1], chosen_alone: alone,
      gain, gain_words: gain.map((g) => said(g, "+.0%")).map((words) => (words === "+0%" ? "0%" : words)),
      gain_at: gain.map((g) => (g < 0 ? g - 0.1 : g + 0.1)),
      names: data.names.slice(0, f.n), bar: gain.map((_, k) => k), bar_high: f.n - 0.4,
      role: gain.map((_, k) => (k === f.w ? 0 : k === f.l ? 1 : 2)), winner: data.names[best], winner_gain: gain[best],
    };
  }

  const stopped = (path, f) => {
    const [x, y] = [path.path_x, path.path_y].map((row) => row[row.length - 1]), uniform = place([1 / f.n, 1 / f.n, 1 - 2 / f.n]);
    const won = `margin ${said(path.margin_won, ".2g")}`, begin = path.path_x[0], back = x <= begin;
    const left = (back && x > 0.25) || x > 0.8;
    return {
      start_x: begin, start_y: path.path_y[0], end_x: x, end_y: y, uniform_x: uniform[0], uniform_y: uniform[1],
      beside_x: x + (left ? -0.03 : 0.03), beside_y: y + (back && !left ? 0.05 : 0), to_the_left: left ? won : "", to_the_right: left ? "" : won,
    };
  };

  return (data) => (state) => {
    const f = flowOf(data, state), { x, low, high, share } = region(data, f), path = pathOf(data, f, state);
    const begin = f.start.map(Math.log), pace = margin(f, rates(f, begin, onKink(f, begin, data.walk) ? 1 : 0)), pull = f.up / -f.down;
    const uniform = state.reference === "uniform" && state.loss !== "SimPO", rest = state.answers > 3 ? "others" : "Yes";
    const times = said(pull, ".3g");
    const told = (data.wider.includes(state.loss) ? data.beside : data.ends)[path.outcome];
    return {
      ...arrowsOf(data, f), ...path, ...stopped(path, f),
      ended: fill(told, (name) => (name === "margin" ? state.margin : path[name])),
      both_x: x, both_low: low[0], both_high: high[0], more_low: low[1], more_high: high[1], both_share: share,
      pull, pushed: times === "1" ? "as hard as" : `${times} times as hard as`, pace, target: 0.5 / state.beta,
      won_low: Math.min(...path.won) < -0.02 * state.margin ? -state.margin : 0, uniform_size: uniform ? 11 : 0,
      rest, top: rest === "Yes" ? rest : "all others",
    };
  };
})();
