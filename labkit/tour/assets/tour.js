// Draws the plotly figures of a page, and lets the arrow keys move their first slider. No network, no kernel.
"use strict";

function stepTo(plot, index) {
  const slider = plot.layout.sliders[0];
  const step = slider.steps[Math.max(0, Math.min(slider.steps.length - 1, index))];
  Plotly.relayout(plot, { "sliders[0].active": slider.steps.indexOf(step) });
  if (step.method !== "skip") Plotly[step.method](plot, ...step.args);
}

function onKey(event) {
  const plot = event.currentTarget;
  const sliders = plot.layout && plot.layout.sliders;
  const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
  if (!sliders || !sliders.length || !(event.key in moves)) return;
  event.preventDefault();
  stepTo(plot, (sliders[0].active || 0) + moves[event.key]);
}

for (const plot of document.querySelectorAll(".plot")) {
  const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
  const config = { ...figure.config, ...(plot.dataset.still ? { staticPlot: true } : {}) };
  Plotly.newPlot(plot, { data: figure.data, layout: figure.layout, frames: figure.frames || [], config: config }).then(() => {
    plot.dataset.drawn = "yes";
  });
  if (!plot.dataset.still) plot.addEventListener("keydown", onKey);
}
