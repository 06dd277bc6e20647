// Draws the plotly figures of a page, and lets the arrow keys move their slider. No network, no kernel.
"use strict";

// Of several sliders one is seen at a time: that is the one the keys move.
function seen(plot) {
  const sliders = (plot.layout && plot.layout.sliders) || [];
  return sliders.findIndex((slider) => slider.visible !== false);
}

function stepTo(plot, number, place) {
  const steps = plot.layout.sliders[number].steps;
  const index = Math.max(0, Math.min(steps.length - 1, place));
  const step = steps[index];
  Plotly.relayout(plot, { [`sliders[${number}].active`]: index });
  if (step.method !== "skip") Plotly[step.method](plot, ...step.args);
}

function onKey(event) {
  const plot = event.currentTarget;
  const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
  const number = seen(plot);
  if (number < 0 || !(event.key in moves)) return;
  event.preventDefault();
  stepTo(plot, number, (plot.layout.sliders[number].active || 0) + moves[event.key]);
}

for (const plot of document.querySelectorAll(".plot")) {
  const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
  const config = { ...figure.config, ...(plot.dataset.still ? { staticPlot: true } : {}) };
  Plotly.newPlot(plot, { data: figure.data, layout: figure.layout, frames: figure.frames || [], config: config }).then(() => {
    plot.dataset.drawn = "yes";
  });
  if (!plot.dataset.still) plot.addEventListener("keydown", onKey);
}
