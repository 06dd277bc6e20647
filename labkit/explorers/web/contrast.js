// The primitives of labkit/contrast.py and labkit/energy.py for the browser: values, and gradients next to them.
// Rows are typed arrays, a matrix is an array of rows, a column is one Float64Array. Whatever is summed over is first
// lowered by its maximum, so temperature 0.002 is as good as 0.5. No loss is named here: a loss is its masks and weights.

// A matrix of n rows filled by cell(i, j), or with zeros.
const matrix = (n, m, cell) => Array.from({ length: n }, (_, i) => {
  const row = new Float64Array(m);
  if (cell) for (let j = 0; j < m; j++) row[j] = cell(i, j);
  return row;
});

// The matrix with every entry changed.
const entrywise = (rows, change) => matrix(rows.length, rows.length ? rows[0].length : 0, (i, j) => change(rows[i][j], i, j));

const sum = (row) => row.reduce((total, x) => total + x, 0);
const mean = (row) => sum(row) / row.length;
const greatest = (row) => {
  let most = -Infinity;
  for (let j = 0; j < row.length; j++) if (row[j] > most) most = row[j];
  return most;
};

const dot = (a, b) => {
  let total = 0;
  for (let k = 0; k < a.length; k++) total += a[k] * b[k];
  return total;
};

// The length of a row, found so that no square over- or underflows.
const norm = (row) => {
  const largest = greatest(row.map(Math.abs));
  if (!(largest > 0)) return 0;
  let total = 0;
  for (let k = 0; k < row.length; k++) total += (row[k] / largest) ** 2;
  return largest * Math.sqrt(total);
};

// Rows of length one; a row of zeros stays as it is.
const unitRows = (rows) => rows.map((row) => {
  const unit = Float64Array.from(row), length = norm(unit) || 1;
  for (let k = 0; k < unit.length; k++) unit[k] /= length;
  return unit;
});

// The gradient with respect to rows, from the gradient with respect to unitRows(rows).
const unitRowsBack = (rows, slope) => unitRows(rows).map((u, i) => {
  const along = dot(slope[i], u), length = norm(Float64Array.from(rows[i])) || 1;
  return u.map((x, k) => (slope[i][k] - along * x) / length);
});

// The products of the rows of a with those of b: cosines, where they are unit rows.
const cosines = (a, b = a) => matrix(a.length, b.length, (i, j) => dot(a[i], b[j]));

// The gradient with respect to z, from the one with respect to every entry of cosines(z): both directions of each pair.
const cosinesBack = (z, slope) => z.map((row, i) => {
  const total = new Float64Array(row.length);
  for (let j = 0; j < z.length; j++) {
    const both = slope[i][j] + slope[j][i];
    for (let k = 0; k < total.length; k++) total[k] += both * z[j][k];
  }
  return total;
});

// Everyone but oneself, as a mask.
const offDiagonal = (n) => Array.from({ length: n }, (_, i) => new Uint8Array(n).fill(1).fill(0, i, i + 1));

// All pairs among two views, the first view's rows first: cosines, who is the partner, who is neither of the two.
const twoViews = (first, second) => {
  const z = unitRows([...first, ...second]), n = first.length, everyone = offDiagonal(2 * n);
  const others = everyone.map((row, i) => row.map((other, j) => (j === (i + n) % (2 * n) ? 0 : other)));
  const partner = everyone.map((row, i) => row.map((_, j) => (j === (i + n) % (2 * n) ? 1 : 0)));
  return { similarity: cosines(z), partner, others };
};

// Each row's marked entries share a weight of 1; a row without any stays 0.
const evenly = (mask) => mask.map((row) => {
  const whole = row.reduce((marked, on) => marked + Boolean(on), 0);
  return Float64Array.from(row, (on) => (on ? 1 / whole : 0));
});

// The logits with their weights, which are a mask (bytes or booleans) or LOG-weights; without weights everyone counts once.
const weighed = (logits, weights) => logits.map((row, i) => {
  const weight = weights && weights[i];
  if (!weight) return Float64Array.from(row);
  const mask = weight instanceof Uint8Array || typeof weight[0] === "boolean", found = new Float64Array(row.length);
  for (let j = 0; j < row.length; j++) {
    found[j] = mask ? (weight[j] ? row[j] : -Infinity) : weight[j] > -Infinity ? row[j] + weight[j] : -Infinity;
  }
  return found;
});

// log sum_j exp(row_j); a row with nothing in it gives -Infinity.
const logSumExp = (row) => {
  const most = greatest(row);
  if (most === -Infinity) return -Infinity;
  let total = 0;
  for (let j = 0; j < row.length; j++) total += Math.exp(row[j] - most);
  return most + Math.log(total);
};

// log(exp(a) + exp(b)), entry by entry.
const logAddExp = (a, b) => Float64Array.from(a, (x, i) => logSumExp([x, b[i]]));

// What each anchor is compared with, as a column: log sum_j w_ij exp(L_ij).
const logPartition = (logits, weights) => Float64Array.from(weighed(logits, weights), logSumExp);

// log of the shares below; -Infinity for who does not count.
const logShares = (logits, weights) => weighed(logits, weights).map((row) => {
  const whole = logSumExp(row);
  return row.map((x) => (x === -Infinity ? x : x - whole));
});

// How each anchor's comparison is shared out, rows that add up to 1 (or 0, where nobody counts): the gradient of logPartition.
// It is what a drag waits for, so a plain loop.
const shares = (logits, weights) => weighed(logits, weights).map((row) => {
  const most = greatest(row), found = new Float64Array(row.length);
  if (most === -Infinity) return found;
  let whole = 0;
  for (let j = 0; j < row.length; j++) whole += found[j] = Math.exp(row[j] - most);
  for (let j = 0; j < row.length; j++) found[j] /= whole;
  return found;
});

// The gradient with respect to the logits, from the one with respect to logShares(logits, weights) = log(share).
const logSharesBack = (share, slope) => {
  const whole = share.map((row, i) => row.reduce((total, r, j) => total + (r > 0 ? slope[i][j] : 0), 0));
  return entrywise(share, (r, i, j) => (r > 0 ? slope[i][j] - r * whole[i] : 0));
};

// log P, entry by entry, so that positives can be summed inside a logarithm.
const logPositives = (positives) => entrywise(positives, (p) => (p > 0 ? Math.log(p) : -Infinity));

// The partition (a column) minus the positives, one value per anchor: sum_j P_ij (D_i - L_ij), or with inside
// D_i - log sum_j P_ij exp(L_ij). Anchors without positives give 0.
const contrast = (logits, positives, partition, inside = false) => {
  const within = inside ? logPartition(logits, logPositives(positives)) : null;
  return Float64Array.from(logits, (row, i) => {
    if (inside) return within[i] === -Infinity ? 0 : partition[i] - within[i];
    let total = 0;
    for (let j = 0; j < row.length; j++) if (positives[i][j]) total += positives[i][j] * (partition[i] - row[j]);
    return total;
  });
};

// The gradient of contrast with respect to the logits, one row per anchor, from that of the partition (such as shares).
const contrastSlope = (logits, positives, partitionSlope, inside = false) => {
  const pull = inside ? shares(logits, logPositives(positives)) : positives;
  return pull.map((row, i) => {
    const weight = sum(row), found = new Float64Array(row.length), slope = partitionSlope[i];
    for (let j = 0; j < row.length; j++) found[j] = (weight ? weight * slope[j] : 0) - row[j];
    return found;
  });
};

// visit(i, j, squared distance) for i < j, by differences and not by products: exact for near duplicates.
const forPairs = (z, visit) => {
  for (let i = 0; i < z.length; i++) {
    for (let j = i + 1; j < z.length; j++) {
      let total = 0;
      for (let k = 0; k < z[i].length; k++) total += (z[i][k] - z[j][k]) ** 2;
      visit(i, j, total);
    }
  }
};

// -t ||z_i - z_j||^2 for i < j.
const energies = (z, t) => {
  const found = new Float64Array((z.length * (z.length - 1)) / 2);
  let at = 0;
  forPairs(z, (i, j, squared) => (found[at++] = -t * squared));
  return found;
};

// log mean_{i<j} exp(-t ||z_i - z_j||^2).
const logMeanPotential = (z, t) => {
  const found = energies(z, t);
  return logSumExp(found) - Math.log(found.length);
};

// How much of the potential is each pair's, as a symmetric matrix: over i < j it adds up to 1.
const potentialShares = (z, t) => {
  const whole = logSumExp(energies(z, t)), found = matrix(z.length, z.length);
  forPairs(z, (i, j, squared) => (found[i][j] = found[j][i] = Math.exp(-t * squared - whole)));
  return found;
};

// The gradient of logMeanPotential with respect to the points: each pair pushes by its share.
const logMeanPotentialSlope = (z, t) => potentialShares(z, t).map((share, i) => {
  const slope = new Float64Array(z[i].length);
  for (let j = 0; j < z.length; j++) {
    for (let k = 0; k < slope.length; k++) slope[k] -= 2 * t * share[j] * (z[i][k] - z[j][k]);
  }
  return slope;
});

// a_i - b_i, in double precision.
const differences = (a, b) => a.map((row, i) => Float64Array.from(row, (x, k) => x - b[i][k]));

// mean_i ||a_i - b_i||^alpha: how far the partners are apart.
const alignment = (a, b, alpha = 2) => mean(differences(a, b).map((row) => norm(row) ** alpha));

// Its gradient with respect to a; with respect to b it is the opposite.
const alignmentSlope = (a, b, alpha = 2) => differences(a, b).map((apart) => {
  const distance = norm(apart);
  return apart.map((x) => (distance > 0 ? (alpha * distance ** (alpha - 2) * x) / a.length : 0));
});
