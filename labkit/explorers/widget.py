"""The same view as a widget: what the reader does is known to this kernel, and what is set here is seen."""

import dataclasses
from typing import TYPE_CHECKING, Any

from labkit.explorers import page

if TYPE_CHECKING:
    from labkit.explorers.core import Explorer

RENDER = """
export default {
  render({ model, el }) {
    const root = document.createElement("div");
    root.className = "labkit-explorer";
    root.append(element("style", {}, model.get("style")));
    el.append(root);
    let own = "";
    const view = mount(root, decoded(model.get("told")), (state, code) => {
      if (code === model.get("code")) return;
      own = code;
      model.set("code", code);
      model.save_changes();
    });
    model.on("change:code", () => {
      if (model.get("code") !== own) view.change(read(view.told, model.get("code")));
      own = "";
    });
  },
};
"""


def widget(explorer: "Explorer") -> Any:
    """A widget with the explorer's view; `widget.code` and `widget.state` follow the reader's hand."""
    import anywidget
    import traitlets

    class View(anywidget.AnyWidget):
        _esm = page.source(explorer.model.name if explorer.model else "") + RENDER
        told = traitlets.Dict().tag(sync=True)
        style = traitlets.Unicode().tag(sync=True)
        code = traitlets.Unicode().tag(sync=True)

        @traitlets.validate("code")
        def _refuse_damaged(self, proposal: dict[str, Any]) -> str:
            explorer.layout.read(proposal["value"])
            return proposal["value"]

        @property
        def state(self) -> Any:
            """Where the controls stand."""
            return explorer.opened(self.code).start

        @state.setter
        def state(self, state: Any) -> None:
            self.code = explorer.code(dataclasses.replace(state))

    return View(told=page.payload(explorer), style=page.style(), code=explorer.code())
