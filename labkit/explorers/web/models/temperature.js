// The temperature slider: `show` of labkit/explorers/weighing.py. Meters are looked up; who is pushed is computed here.
models.temperature = (data) => {
  const { temperatures, bins } = data, losses = Object.keys(data.losses), memory = new Map();
  const similarity = Float64Array.from({ length: bins + 1 }, (_, k) => (-180 * k) / bins);

  // Computed once, as long as it is among the latest; a slider's length of models takes some twenty megabytes.
  const once = (key, make) => {
    if (!memory.has(key)) memory.set(key, make());
    if (memory.size > 48) memory.delete(memory.keys().next().value);
    return memory.get(key);
  };

  // Rows of marks whose marked entries share a weight of 1.
  const alike = (mask) => mask.map((row) => {
    const whole = sum(row) || 1;
    return Float64Array.from(row, (on) => on / whole);
  });

  // Whom every anchor is compared with, and its positives, as the loss's words say.
  const terms = (spec, labels) => {
    const n = labels.length, spread = { everyone: () => 1, other: (i, j) => Number(i !== j), nobody: () => 0 };
    const against = matrix(n, 2 * n, (i, j) => spread[j < n ? spec.first : spec.second](i, j % n));
    const same = (i, j) => Number(labels[i] === labels[j % n] && i !== j), partner = (i, j) => Number(j === i + n);
    const positives = alike(matrix(n, 2 * n, spec.positives === "class" ? same : partner));
    return { against, positives, even: alike(against.map((row, i) => row.map((on, j) => on * (positives[i][j] < 1)))) };
  };

  // Which pairs are of one class, which of two, and which are two views of one instance.
  const kinds = (labels) => {
    const n = labels.length, own = (i, j) => labels[i] === labels[j % n];
    return {
      own: matrix(n, 2 * n, (i, j) => Number(own(i, j))),
      other: matrix(n, 2 * n, (i, j) => Number(!own(i, j))),
      same: matrix(n, 2 * n, (i, j) => Number(own(i, j) && i !== j % n)),
      positive: matrix(n, 2 * n, (i, j) => Number(j === i + n)),
    };
  };

  // How much weight lies at which angle; each is divided between the two nearest marks.
  const histogram = (places, weights) => {
    const found = new Float64Array(bins + 1);
    for (let i = 0; i < places.length; i++) {
      const place = places[i], weight = weights[i];
      for (let j = 0; j < place.length; j++) {
        if (weight[j] === 0) continue;
        const low = Math.min(Math.floor(place[j]), bins - 1), part = place[j] - low;
        found[low] += weight[j] * (1 - part);
        found[low + 1] += weight[j] * part;
      }
    }
    return found;
  };

  const ridge = (places, mask, base) => {
    const found = histogram(places, mask), most = Math.max(greatest(found), 1e-12);
    return found.map((weight) => base + (0.9 * weight) / most);
  };

  // Everything about one model that no temperature changes.
  const opened = (set, loss, model, kind, even) => {
    const flat = set.z[loss][model], n = set.labels.length, d = set.d, plane = set.directions[loss][model];
    const rows = unitRows(Array.from({ length: 2 * n }, (_, i) => flat.subarray(i * d, (i + 1) * d)));
    const along = (k) => Float64Array.from(set.lift, (out, i) => out * rows[i].reduce((t, z, j) => t + z * plane[2 * j + k], 0));
    const cosine = cosines(rows.slice(0, n), rows), turn = bins / Math.PI;
    const places = cosine.map((row) => row.map((s) => Math.acos(s > 1 ? 1 : s < -1 ? -1 : s) * turn));
    return {
      x: along(0), y: along(1), cosine, places, even: histogram(places, even).map((p) => p / n),
      ridge_positive: ridge(places, kind.positive, 2),
      ridge_same: ridge(places, kind.same, 1),
      ridge_other: ridge(places, kind.other, 0),
    };
  };

  // The part of the loss's gradient that drives apart, as shares of each anchor's push.
  const driving = (cosine, { against, positives }, temperature) => {
    const logits = cosine.map((row, i) => row.map((s, j) => (against[i][j] ? s / temperature : -Infinity)));
    const slope = contrastSlope(logits, positives, shares(logits));
    for (const row of slope) {
      let whole = 0;
      for (let j = 0; j < row.length; j++) whole += row[j] > 0 ? row[j] : 0;
      for (let j = 0; j < row.length; j++) row[j] = row[j] > 0 ? row[j] / whole : 0;
    }
    return slope;
  };

  // And at which angle it is.
  const pushed = (view, known, kind, temperature) => {
    const n = view.cosine.length, push = driving(view.cosine, known, temperature);
    const part = (mask) => histogram(view.places, push.map((row, i) => row.map((p, j) => p * mask[i][j]))).map((p) => p / n);
    const near = part(kind.own), far = part(kind.other), all = near.map((p, k) => p + far[k]), peak = greatest(all);
    const top = Math.max(peak, greatest(view.even)) / 1.9, raised = (found) => found.map((p) => 3 + p / top);
    return {
      push, push_by_same: near, push_by_all: all, peak, peak_x: similarity[all.indexOf(peak)],
      ridge_push_same: raised(near), ridge_push: raised(all), ridge_even: raised(view.even),
    };
  };

  const pictured = (set, loss, model, state) => {
    const key = `${state.data} ${loss}`, n = set.labels.length, a = state.anchor;
    const known = once(key, () => terms(data.specs[state.loss], set.labels)), kind = once(state.data, () => kinds(set.labels));
    const view = once(`${key} ${model}`, () => opened(set, loss, model, kind, known.even));
    if (view.at !== state.temperature) [view.at, view.pushed] = [state.temperature, pushed(view, known, kind, state.temperature)];
    const { push, ...found } = view.pushed;
    const share = Float64Array.from({ length: n }, (_, j) => push[a][j] + push[a][j + n]);
    return {
      x: view.x, y: view.y, anchor_x: view.x[a], anchor_y: view.y[a],
      labels: set.labels, anchor_class: set.labels[a], share,
      color: set.labels.map((label) => (label === set.labels[a] ? 0 : 1 + (label % 10))),
      size: share.map((s) => 4 + 26 * Math.sqrt(s)),
      cosine: view.cosine[a].subarray(0, n),
      anchor_same: share.reduce((total, s, j) => total + s * kind.own[a][j], 0),
      similarity, ...found,
      ridge_positive: view.ridge_positive, ridge_same: view.ridge_same, ridge_other: view.ridge_other,
    };
  };

  // What was measured and stored.
  const measured = (set, loss, model, at) => {
    const shown = {};
    for (const [name, table] of Object.entries(set.weighed)) shown[name === "loss" ? "value" : name] = table[loss][model][at];
    for (const [name, table] of Object.entries(set.meters)) {
      shown[name] = table[loss][model];
      if (!["same_class", "rank"].includes(name)) shown[`${name}_all`] = table[loss];
      if (name !== "rank") shown[`${name}_untrained`] = set.untrained[name][loss];
    }
    return shown;
  };

  return (state) => {
    const set = data.sets[state.data], loss = losses.indexOf(state.loss), at = temperatures.indexOf(state.temperature);
    const several = set.z[loss].length > 1, model = several ? temperatures.indexOf(state.trained) : 0;
    const { chance, floor, even } = set.bounds, spectrum = set.spectrum[loss][model], [far, low, high] = set.frame[loss];
    const curve = temperatures.map((_, i) => set.weighed.loss[loss][state.mode === "re-train" ? i : model][i]);
    return {
      ...pictured(set, loss, model, state), ...measured(set, loss, model, at),
      loss_all: curve, chance_all: chance[loss], floor_all: floor[loss],
      chance: chance[loss][at], floor: floor[loss][at],
      loss_low: Math.min(...floor[loss]), loss_high: set.top[loss], loss_ticks: set.loss_ticks[loss],
      even: even[loss], spectrum: spectrum.map((s) => s / spectrum[0]),
      number: Array.from(spectrum, (_, k) => k + 1), last: spectrum.length + 0.5, counted: set.counted, taus: temperatures,
      now: state.temperature, made: several ? state.trained : NaN, far, low, high, ticks: set.frame_ticks[loss],
      loss_name: data.losses[state.loss], whose: set.whose, dimensions: set.d,
    };
  };
};
