// The links of labkit/link.py by their slopes: how hard a pair at margin z is pushed. No loss is named here: a loss is what
// goes into which link, and Python says that.

const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const logSigmoid = (z) => Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z)));

const LINKS = {
  linear: () => 1,
  logistic: (z, { smoothing = 0 }) => smoothing - sigmoid(-z),
  robust: (z, { smoothing = 0.1 }) => -sigmoid(-z) - smoothing / (1 - 2 * smoothing),
  hinge: (z, { at = 1 }) => (z < at ? -1 : 0),
  squared: (z, { target }) => 2 * (z - target),
  exo: (z, { smoothing = 1e-3 }) => sigmoid(z) * sigmoid(-z) * (z - Math.log1p(-smoothing) + Math.log(smoothing)),
  falling: (z) => -sigmoid(z) * sigmoid(-z),
  discopop(z, { tau = 0.05 }) {
    const m = sigmoid(z / tau), rest = sigmoid(-z / tau), fall = Math.exp(logSigmoid(z / tau) - z);
    return -rest * sigmoid(-z) - fall + (rest * (fall + m * logSigmoid(z))) / tau;
  },
};

const slope = (link, z, options = {}) => LINKS[link](z, options);
