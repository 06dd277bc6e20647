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

  // Whom every anchor is compared with, and its positives, as the loss's words say.
  const terms = (spec, labels) => {
    const n = labels.length, spread = { everyone: () => 1, other: (i, j) => Number(i !== j), nobody: () => 0 };
    const mask = (i, j) => spread[j < n ? spec.first : spec.second](i, j % n);
    const against = matrix(n, 2 * n, mask).map((row) => Uint8Array.from(row));
    const same = (i, j) => Number(labels[i] === labels[j % n] && i !== j), partner = (i, j) => Number(j === i + n);
    const positives = evenly(matrix(n, 2 * n, spec.positives === "class" ? same : partner));
    return { against, positives, even: evenly(against.map((row, i) => row.map((on, j) => on * (positives[i][j] < 1)))) };
  };

  // What every pair is: two classes, one class, two views of one instance, or an instance and itself.
  const kinds = (labels) => {
    const n = labels.length, [OTHER, SAME, POSITIVE, ITSELF] = [0, 1, 2, 3];
    return Array.from({ length: n }, (_, i) => Uint8Array.from({ length: 2 * n }, (_, j) =>
      (labels[i] !== labels[j % n] ? OTHER : i !== j % n ? SAME : j === i ? ITSELF : POSITIVE)));
  };

  // Of every pair, the mark of its angle below it, and how far it lies on the way to the next.
  const placed = (cosine) => cosine.map((row) => {
    const low = new Uint8Array(row.length), part = new Float64Array(row.length);
    for (let j = 0; j < row.length; j++) {
      const s = row[j], place = (Math.acos(s > 1 ? 1 : s < -1 ? -1 : s) * bins) / Math.PI;
      low[j] = Math.min(place, bins - 1);
      part[j] = place - low[j];
    }
    return { low, part };
  });

  // How much weight lies at which angle, for each kind of pair; every weight is divided between the two nearest marks.
  const histograms = (places, weights, kind, many) => {
    const found = Array.from({ length: many }, () => new Float64Array(bins + 1));
    for (let i = 0; i < places.length; i++) {
      const { low, part } = places[i], weight = weights && weights[i], of = kind && kind[i];
      for (let j = 0; j < low.length; j++) {
        const w = weight ? weight[j] : 1, into = found[of ? of[j] : 0], k = low[j];
        into[k] += w * (1 - part[j]);
        into[k + 1] += w * part[j];
      }
    }
    return found;
  };

  const ridge = (found, base) => {
    const most = Math.max(greatest(found), 1e-12);
    return found.map((weight) => base + (0.9 * weight) / most);
  };

  // Everything about one model that no temperature changes.
  const opened = (set, loss, model, kind, even) => {
    const flat = set.z[loss][model], n = set.labels.length, d = set.d, plane = set.directions[loss][model];
    const rows = unitRows(Array.from({ length: 2 * n }, (_, i) => flat.subarray(i * d, (i + 1) * d)));
    const along = (k) => Float64Array.from(set.lift, (out, i) => out * rows[i].reduce((t, z, j) => t + z * plane[2 * j + k], 0));
    const cosine = cosines(rows.slice(0, n), rows), places = placed(cosine);
    const [other, same, positive] = histograms(places, null, kind, 4);
    return {
      x: along(0), y: along(1), cosine, places, even: histograms(places, even, null, 1)[0].map((p) => p / n),
      ridge_positive: ridge(positive, 2), ridge_same: ridge(same, 1), ridge_other: ridge(other, 0),
    };
  };

  // The part of the loss's gradient that drives apart, as shares of each anchor's push.
  const driving = (cosine, { against, positives }, temperature) => {
    const logits = cosine.map((row) => row.map((s) => s / temperature));
    const slope = contrastSlope(logits, positives, shares(logits, against));
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
    const [far, ...own] = histograms(view.places, push, kind, 4).map((found) => found.map((p) => p / n));
    const near = far.map((_, k) => own[0][k] + own[1][k] + own[2][k]), all = near.map((p, k) => p + far[k]);
    const peak = greatest(all), top = Math.max(peak, greatest(view.even)) / 1.9, raised = (found) => found.map((p) => 3 + p / top);
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
      anchor_same: share.reduce((total, s, j) => total + (kind[a][j] ? s : 0), 0),
      similarity, ...found,
      ridge_positive: view.ridge_positive, ridge_same: view.ridge_same, ridge_other: view.ridge_other,
    };
  };

  // Steps of the same-class cosine on two grids, one shifted by half and counted downwards: small changes change one at most.
  const levels = (close) => ({ closer: Math.floor(close / data.step), apart: -Math.floor(close / data.step + 0.5) });

  // Singular values beside the largest; none of them where all rows are equal, and a word that says so.
  const widths = (spectrum) => {
    const equal = spectrum[0] < data.nothing;
    return { spectrum: spectrum.map((s) => (equal ? 0 : s / spectrum[0])), no_width: equal ? "all rows are equal" : "" };
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
    const along = (table) => temperatures.map((_, i) => table[loss][state.mode === "re-train" ? i : model][i]);
    return {
      ...pictured(set, loss, model, state), ...measured(set, loss, model, at),
      loss_all: along(set.weighed.loss), near_all: along(set.weighed.push_near),
      span_low: set.span[loss][0], span_high: set.span[loss][1], span_told: set.told[loss], chance_all: chance[loss], floor_all: floor[loss],
      chance: chance[loss][at], floor: floor[loss][at],
      loss_low: Math.min(...floor[loss]), loss_high: set.top[loss], loss_ticks: set.loss_ticks[loss],
      even: even[loss], ...widths(spectrum), ...levels(set.meters.same_class[loss][model]),
      number: Array.from(spectrum, (_, k) => k + 1), last: spectrum.length + 0.5, counted: set.counted, taus: temperatures,
      now: state.temperature, made: several ? state.trained : NaN, far, low, high, ticks: set.frame_ticks[loss],
      loss_name: data.losses[state.loss], whose: set.whose, dimensions: set.d,
    };
  };
};
