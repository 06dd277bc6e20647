// The controls: native elements, so that keyboards and screen readers know them.
let made = 0;
// Names that no other explorer on the page has: each brings a script, and so a count, of its own.
const PAGE = Math.random().toString(36).slice(2);
const unique = () => `lk-control-${PAGE}-${(made += 1)}`;

function element(tag, attributes = {}, ...children) {
  const it = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  it.append(...children);
  return it;
}

// Each kind gives an element, and what brings it to a place among the options.
const CONTROLS = {
  slider(c, change) {
    const id = unique(), now = element("output", { for: id });
    const input = element("input", { type: "range", id, min: 0, max: c.options.length - 1, step: 1, "aria-label": c.label });
    input.addEventListener("input", () => change(Number(input.value)));
    const label = element("label", { for: id }, `${c.label} `, now);
    const set = (place) => {
      input.value = place;
      now.textContent = c.words[place];
      input.setAttribute("aria-valuetext", c.words[place]);
    };
    return { node: element("div", {}, label, input), set, input };
  },
  player(c, change) {
    const slider = CONTROLS.slider(c, change), last = c.options.length - 1;
    const button = element("button", { type: "button", class: "lk-play", "aria-label": `play ${c.label}` }, "▶");
    let timer = 0;
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      button.textContent = "▶";
      button.setAttribute("aria-label", `play ${c.label}`);
    };
    const step = () => {
      const place = Number(slider.input.value);
      if (place >= last || !button.isConnected) return stop();
      return change(place + 1);
    };
    button.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.input.value) >= last) change(0);
      button.textContent = "❚❚";
      button.setAttribute("aria-label", `pause ${c.label}`);
      timer = setInterval(step, 450);
      return undefined;
    });
    slider.input.addEventListener("input", stop);
    slider.node.append(button);
    slider.node.classList.add("lk-player");
    return slider;
  },
  toggle(c, change) {
    const name = unique();
    const inputs = c.words.map((_, place) => element("input", { type: "radio", name, value: place }));
    inputs.forEach((input, place) => input.addEventListener("change", () => change(place)));
    const labels = c.words.map((word, place) => element("label", {}, inputs[place], element("span", {}, word)));
    const node = element("fieldset", { class: "lk-toggle" }, element("legend", {}, c.label), ...labels);
    return { node, set: (place) => (inputs[place].checked = true) };
  },
  menu(c, change) {
    const id = unique();
    const options = c.words.map((word, place) => element("option", { value: place }, word));
    const select = element("select", { id, "aria-label": c.label }, ...options);
    select.addEventListener("change", () => change(Number(select.value)));
    return { node: element("div", {}, element("label", { for: id }, c.label), select), set: (place) => (select.value = place) };
  },
};

// All controls of an explorer; `sync` brings them to a state.
function controlled(told, change) {
  const all = told.controls.map((c) => {
    const control = CONTROLS[c.kind](c, (place) => change({ [c.name]: c.options[place] }));
    control.node.classList.add("lk-control");
    control.node.dataset.control = c.name;
    return { c, ...control };
  });
  const nodes = all.filter(({ c }) => !c.hidden).map(({ node }) => node);
  const sync = (state) => {
    for (const { c, node, set } of all) {
      node.hidden = !isSeen(c, state);
      set(c.options.indexOf(state[c.name]));
    }
  };
  return { nodes, sync };
}

// The code of the state, to copy or to paste another, and the way back to the start.
function coded(view) {
  const input = element("input", { type: "text", spellcheck: "false", autocomplete: "off", "aria-label": "state code" });
  const copy = element("button", { type: "button", title: "copy the code of what is on screen" }, "copy");
  const reset = element("button", { type: "button", title: "back to where it began" }, "reset");
  input.addEventListener("focus", () => input.select());
  input.addEventListener("change", () => {
    try {
      view.change(read(view.told, input.value));
    } catch (error) {
      view.complain(error.message);
    }
  });
  copy.addEventListener("click", () => {
    input.select();
    if (navigator.clipboard) navigator.clipboard.writeText(input.value).catch(() => document.execCommand("copy"));
    else document.execCommand("copy");
    copy.textContent = "copied";
    setTimeout(() => (copy.textContent = "copy"), 1200);
  });
  reset.addEventListener("click", () => view.change(view.told.start));
  const node = element("div", { class: "lk-code" }, element("span", {}, "state code"), input, element("div", {}, copy, reset));
  return { node, sync: (state) => (input.value = written(view.told, state)) };
}
