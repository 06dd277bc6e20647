// The forces between points, from what Python says of each loss: masks, weights, and what its temperature follows.
models.microscope = (data) => {
  const { names, roles, labels, recipes, sizes } = data, count = names.length, half = count / 2;
  const indices = Array.from({ length: count }, (_, i) => i);
  const degrees = (s) => (180 / Math.PI) * Math.acos(Math.min(Math.max(s, -1), 1));
  const partner = (i) => (i + half) % count;

  // The points, one of them where the reader put it: straight onto the circle, or onto its own half of the sphere.
  function placed({ scene, seed, moved }) {
    const z = data.scenes[scene][seed].map((row) => Float64Array.from(row));
    if (!moved) return z;
    const [i, x, y] = moved, radius = Math.hypot(x, y), round = z[i].length === 3;
    if (round && radius < 1) z[i].set([x, y, Math.sqrt(1 - radius * radius) * (z[i][2] < 0 ? -1 : 1)]);
    else if (radius > 1e-6) z[i].set([x / radius, y / radius, 0].slice(0, z[i].length));
    return z;
  }

  // The temperature that a loss acts at: some let it rise with the mean cosine of the positives.
  function acting(recipe, s, temperature) {
    if (!recipe.follow) return temperature;
    return temperature * (1 + recipe.follow * mean(s.map((row, i) => dot(row, recipe.positives[i]))));
  }

  // How each anchor's own loss changes with the cosines of its row.
  function compared(recipe, s, temperature) {
    const logits = entrywise(s, (x) => x / temperature), { tilted, hardness, times } = recipe;
    const tilt = entrywise(logits, (x) => hardness * x), easier = shares(tilt, tilted), many = tilted.map((row) => Math.log(sum(row)));
    const weights = entrywise(logShares(tilt, tilted), (w, i, j) => {
      if (!recipe.compared[i][j]) return -Infinity;
      return tilted[i][j] && hardness ? w + many[i] : 0;
    });
    const share = shares(logits, weights), through = logSharesBack(easier, share);
    const partition = entrywise(share, (r, i, j) => times * (r + hardness * through[i][j]));
    return entrywise(contrastSlope(logits, recipe.positives, partition), (g) => g / temperature);
  }

  // The same for a spring between partners and a Gaussian potential within each view, half of it from either end.
  function spread(recipe, z, temperature) {
    const t = recipe.width / temperature, slope = matrix(count, count, (i, j) => -recipe.positives[i][j] / recipe.views);
    for (const from of [0, recipe.views]) {
      const share = potentialShares(z.slice(from, from + recipe.views), t);
      share.forEach((row, i) => row.forEach((r, j) => (slope[from + i][from + j] += 0.5 * recipe.weight * t * r)));
    }
    return slope;
  }

  const own = (recipe, z, s, temperature) =>
    (recipe.views ? spread(recipe, z, temperature) : compared(recipe, s, acting(recipe, s, temperature)));

  // The force of j on i: through the cosine in i's row and the one in j's, along the sphere.
  function force(slope, factor, z, s, i, j) {
    const both = i === j ? 0 : -factor * (slope[i][j] + slope[j][i]);
    return z[i].map((x, k) => both * (z[j][k] - s[i][j] * x));
  }

  const added = (rows) => rows.reduce((total, row) => total.map((x, k) => x + row[k]), rows[0].map(() => 0));

  function seen(recipe, state, z, s) {
    const { anchor, temperature } = state, slope = own(recipe, z, s, temperature), factor = recipe.each || 1;
    const on = (i) => indices.map((j) => force(slope, factor, z, s, i, j));
    const mine = on(anchor), net = added(mine), every = state.on === "every point";
    const negatives = indices.map((j) => j !== anchor && !recipe.positives[anchor][j]);
    const push = slope[anchor].map((g, j) => (negatives[j] ? g : 0)), whole = sum(push);
    const forces = every ? indices.map((i) => added(on(i))) : mine;
    return {
      forces, net, share: push.map((g) => (whole > 0 ? g / whole : 0)), acts: acting(recipe, s, temperature),
      longest: Math.max(norm(net), ...forces.map(norm)),
    };
  }

  // How far out each arrow on the anchor begins: the nearest point's on top, the farthest's in the middle.
  function rungs(angle, anchor, flat) {
    const order = indices.filter((i) => i !== anchor).sort((a, b) => Math.round(1e6 * angle[a]) - Math.round(1e6 * angle[b]) || a - b);
    return indices.map((i) => (flat ? sizes.rungs[i === anchor ? 0 : order.indexOf(i) + 1] : 1));
  }

  // The softmax over the negatives that count, as a function of the angle.
  function curve(temperature, s, share) {
    const whole = logSumExp(Float64Array.from(indices.filter((j) => share[j]), (j) => s[j] / temperature));
    return data.curve.map((a) => Math.exp(Math.cos((a * Math.PI) / 180) / temperature - whole)).map((y) => (y > 1.05 ? NaN : y));
  }

  function drawn(state, z, s, angle, found, longest) {
    const factor = sizes.longest / Math.max(longest, sizes.faintest), every = state.on === "every point", { share, forces, net } = found;
    const flat = z[0].length === 2; // then a name stands behind its arrow, else ahead of it
    const steps = rungs(angle, state.anchor, flat), most = greatest(share);
    const from = [0, 1].map((k) => indices.map((i) => (every ? z[i][k] : z[state.anchor][k] * steps[i])));
    const arrow = [0, 1].map((k) => forces.map((f) => factor * f[k])), lengths = indices.map((i) => Math.hypot(arrow[0][i], arrow[1][i]));
    const beside = lengths.map((length) => sizes.tip / Math.max(length, sizes.named));
    const named = (k) => indices.map((i) => from[k][i] + arrow[k][i] * (flat ? -beside[i] : 1 + beside[i]));
    const at = [named(0), named(1)], long = lengths.map((length) => length > sizes.named && !every);
    const hidden = (i) => indices.some((j) =>
      long[j] && lengths[j] > lengths[i] && Math.hypot(at[0][i] - at[0][j], at[1][i] - at[1][j]) < sizes.apart);
    return {
      x: from[0], y: from[1], dx: arrow[0], dy: arrow[1], name_x: at[0], name_y: at[1],
      told: names.map((name, i) => (long[i] && !hidden(i) ? name : "")),
      net_dx: every ? 0 : factor * net[0], net_dy: every ? 0 : factor * net[1],
      force: forces.map(norm), net: norm(net), longest: found.longest > 1e-9 ? found.longest : 0,
      share, top: most, top_told: Number(said(most, ".2f")), more: most > 1.005 ? data.more : "", top_name: names[share.findIndex((r) => r > most - 1e-9)],
      same: share.reduce((total, r, j) => (labels[j] === labels[state.anchor] ? total + r : total), 0),
      temperature: found.acts, curve: curve(found.acts, s[state.anchor], share),
    };
  }

  // Which point the reader moved, and what it is to the anchor.
  function mover({ moved, anchor }) {
    if (!moved) return { mover: "", mover_name: "" };
    const what = moved[0] === anchor ? "the anchor" : moved[0] === partner(anchor) ? "its positive" : "another";
    return { mover: what, mover_name: names[moved[0]] };
  }

  function equator(flat) {
    const n = data.curve.length - 1;
    return data.curve.map((_, k) => (flat ? NaN : 0.28 * Math.sqrt(1 - ((2 * k) / n - 1) ** 2)));
  }

  const role = (anchor) => (i) => (i === anchor ? 0 : i === partner(anchor) ? 1 : labels[i] === labels[anchor] ? 2 : 3);

  return (state) => {
    const { anchor } = state, z = placed(state), s = cosines(z), flat = z[0].length === 2;
    const angle = Array.from(s[anchor], degrees), roles_ = indices.map(role(anchor));
    const behind = z.map((row) => !flat && row[2] < 0), ladder = flat && state.on === "the anchor" ? 1 : NaN;
    const everyone = shares(entrywise(s, (x) => x / state.temperature), offDiagonal(count))[anchor];
    const shown = {
      x: z.map((row) => row[0]), y: z.map((row) => row[1]), size: behind.map((b) => (b ? 11 : 18)), opacity: behind.map((b) => (b ? 0.45 : 1)),
      role: roles_, role_name: roles_.map((r) => roles[r]), names, letters: names.map((name, i) => (behind[i] ? "" : name)), angle,
      rest: everyone.reduce((total, r, j) => (j === partner(anchor) ? total : total + r), 0),
      anchor_name: names[anchor], anchor_x: z[anchor][0], anchor_y: z[anchor][1],
      tells: state.on === "every point" ? "force on" : "force from", equator: equator(flat),
      spine_x: [z[anchor][0] * ladder, 0 * ladder], spine_y: [z[anchor][1] * ladder, 0 * ladder],
    };
    Object.assign(shown, mover(state), { rest_told: Number(said(shown.rest, ".2g")) });
    const found = { left: seen(recipes[state.left], state, z, s), right: seen(recipes[state.right], state, z, s) };
    const every = [...found.left.share, ...found.right.share];
    [shown.share_low, shown.share_high] = [Math.min(-0.14, Math.min(...every) - 0.04), Math.max(1.06, Math.max(...every) + 0.04)];
    const top = Math.max(found.left.longest, found.right.longest);
    for (const side of ["left", "right"]) {
      const made = drawn(state, z, s, angle, found[side], state.scale === "one scale" ? top : found[side].longest);
      for (const [name, value] of Object.entries(made)) shown[`${side}_${name}`] = value;
    }
    return shown;
  };
};
