// What the clinic shows: one patient's meters over the snapshots beside the healthy band, and a verdict once a diagnosis is named.
models.clinic = (data) => (state) => {
  const missing = (value) => (Number.isFinite(value) ? "" : Number.isNaN(value) ? "not a number" : "infinite");
  const p = data.patients.indexOf(state.patient), t = state.snapshot, kind = data.objective[p];
  const shown = { x: data.x, now: t, step: data.steps[t], objective: data.objectives[kind], labels: data.labels };
  data.meters.forEach((meter, k) => {
    shown[meter] = data.curves[p][k];
    shown[`now_${meter}`] = data.curves[p][k][t];
    shown[`${meter}_low`] = data.low[kind][k];
    shown[`${meter}_high`] = data.high[kind][k];
  });
  [shown.plane_x, shown.plane_y] = data.planes[p][t];
  shown.missing = missing(shown.plane_x[0]);
  shown.loss_missing = missing(shown.now_loss);
  const named = state.diagnosis === "not yet" ? "" : state.diagnosis;
  shown.verdict = !named ? "open" : named === data.answers[p] ? "right" : "wrong";
  shown.right = shown.verdict === "right" ? `✓ Right: ${named}` : "";
  shown.wrong = shown.verdict === "wrong" ? `✗ Not this: ${named}` : "";
  shown.why = { open: "", right: data.why[p], wrong: data.signs[named] || "" }[shown.verdict];
  return shown;
};
