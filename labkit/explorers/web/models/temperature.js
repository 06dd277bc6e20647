// The temperature slider: `show` of labkit/explorers/weighing.py. Meters are looked up; who is pushed is computed here.
models.temperature = (data) => {
  const { temperatures, bins } = data, losses = Object.keys(data.losses), memory = new Map();
  const similarity = Float64Array.from({ length: bins + 1 }, (_, k) => (-180 * k) / bins);

  const once = (key, make) => {
    if (!memory.has(key)) memory.set(key, make());
    return memory.get(key);
  };

  // Whom every anchor is compared with, and its positives, as the loss's words say.
  const terms = (spec, labels) => {
    const n = labels.length, spread = { everyone: () => 1, other: (i, j) => Number(i !== j), nobody: () => 0 };
    const against = matrix(n, 2 * n, (i, j) => spread[j < n ? spec.first : spec.second](i, j % n)).map((r) => Uint8Array.from(r));
    const same = (i, j) => Number(labels[i] === labels[j % n] && i !== j), partner = (i, j) => Number(j === i + n);
    return { against, positives: evenly(matrix(n, 2 * n, spec.positives === "class" ? same : partner)) };
  };

  // How much weight lies at which angle; each is divided between the two nearest marks.
  const histogram = (places, weights) => {
    const found = new Float64Array(bins + 1);
    places.forEach((row, i) => {
      for (let j = 0; j < row.length; j++) {
        const weight = weights[i][j];
        if (!weight) continue;
        const low = Math.min(Math.floor(row[j]), bins - 1), part = row[j] - low;
        found[low] += weight * (1 - part);
        found[low + 1] += weight * part;
      }
    });
    return found;
  };

  const ridge = (places, mask, base) => {
    const found = histogram(places, mask), most = Math.max(greatest(found), 1e-12);
    return found.map((weight) => base + (0.9 * weight) / most);
  };

  // Everything about one model that no temperature changes.
  const opened = (set, loss, model) => {
    const flat = set.z[loss][model], n = set.labels.length, d = set.d, plane = set.directions[loss][model];
    const rows = unitRows(Array.from({ length: 2 * n }, (_, i) => flat.subarray(i * d, (i + 1) * d)));
    const along = (k) => Float64Array.from(set.lift, (out, i) => out * rows[i].reduce((t, z, j) => t + z * plane[2 * j + k], 0));
    const cosine = cosines(rows.slice(0, n), rows), labels = set.labels;
    const places = cosine.map((row) => row.map((s) => (Math.acos(Math.min(Math.max(s, -1), 1)) / Math.PI) * bins));
    const same = matrix(n, 2 * n, (i, j) => Number(labels[i] === labels[j % n]));
    const own = (i, j) => i === j % n;
    return {
      x: along(0), y: along(1), cosine, places, same, push: new Map(),
      ridge_positive: ridge(places, matrix(n, 2 * n, (i, j) => Number(j === i + n)), 2),
      ridge_same: ridge(places, matrix(n, 2 * n, (i, j) => Number(same[i][j] && !own(i, j))), 1),
      ridge_other: ridge(places, matrix(n, 2 * n, (i, j) => Number(!same[i][j])), 0),
    };
  };

  // The part of the loss's gradient that drives apart, as shares of each anchor's push; and at which angle it is.
  const pushed = (view, { against, positives }, temperature) => {
    const n = view.cosine.length, logits = view.cosine.map((row) => row.map((s) => s / temperature));
    const slope = contrastSlope(logits, positives, shares(logits, against));
    const push = slope.map((row) => {
      let whole = 0;
      for (let j = 0; j < row.length; j++) whole += row[j] = row[j] > 0 ? row[j] : 0;
      return row.map((p) => p / Math.max(whole, 2.3e-308));
    });
    const near = histogram(view.places, push.map((row, i) => row.map((p, j) => (p * view.same[i][j]) / n)));
    return { push, near, all: histogram(view.places, push.map((row) => row.map((p) => p / n))) };
  };

  const pictured = (set, loss, model, state) => {
    const key = `${state.data} ${loss}`, n = set.labels.length, a = state.anchor;
    const view = once(`${key} ${model}`, () => opened(set, loss, model));
    const known = once(key, () => terms(data.specs[state.loss], set.labels));
    if (!view.push.has(state.temperature)) view.push.set(state.temperature, pushed(view, known, state.temperature));
    const { push, near, all } = view.push.get(state.temperature);
    const share = Float64Array.from({ length: n }, (_, j) => push[a][j] + push[a][j + n]);
    return {
      x: view.x, y: view.y, anchor_x: view.x[a], anchor_y: view.y[a],
      labels: set.labels, anchor_class: set.labels[a], share,
      size: share.map((s) => 4 + 26 * Math.sqrt(s)),
      cosine: view.cosine[a].subarray(0, n),
      anchor_same: share.reduce((total, s, j) => total + s * view.same[a][j], 0),
      similarity, push_by_same: near, push_by_all: all,
      ridge_positive: view.ridge_positive, ridge_same: view.ridge_same, ridge_other: view.ridge_other,
    };
  };

  return (state) => {
    const set = data.sets[state.data], loss = losses.indexOf(state.loss), at = temperatures.indexOf(state.temperature);
    const model = set.z[loss].length > 1 ? temperatures.indexOf(state.trained) : 0, retrained = state.mode === "re-train";
    const shown = pictured(set, loss, model, state), { chance, floor, even } = set.bounds;
    for (const [name, table] of Object.entries(set.weighed)) shown[name] = table[loss][model][at];
    for (const [name, table] of Object.entries(set.meters)) {
      shown[name] = table[loss][model];
      if (!["same_class", "rank"].includes(name)) shown[`${name}_all`] = table[loss];
      if (name !== "rank") shown[`${name}_untrained`] = set.untrained[name][loss];
    }
    const trained = temperatures.map((_, i) => set.weighed.loss[loss][retrained ? i : model]);
    const own = set.weighed.loss[loss].map((row, i) => row[i]), spectrum = set.spectrum[loss][model];
    return {
      ...shown,
      loss_all: trained.map((row, i) => row[i]), chance_all: chance[loss], floor_all: floor[loss],
      chance: chance[loss][at], floor: floor[loss][at],
      loss_low: Math.min(...floor[loss]), loss_high: Math.max(...chance[loss], ...own),
      even: even[loss], spectrum: spectrum.map((s) => s / spectrum[0]),
      number: Array.from(spectrum, (_, k) => k + 1), taus: temperatures,
      loss_name: data.losses[state.loss], whose: set.whose, dimensions: set.d,
    };
  };
};
