"""A notebook in JupyterLab, all cells run: what the browser tests share."""

import os
from pathlib import Path

# A known race of anywidget on slow machines: it says so, and everything is drawn all the same.
HARMLESS = ("[anywidget] Failed to initialize model", "Failed to load resource", "WebGL", "AbortError")

DONE = """() => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputArea-prompt")].map((p) => p.textContent.trim());
  return prompts.length > 0 && prompts.every((p) => /^\\[\\d+\\]:$/.test(p));
}"""


def opened(page, lab, name):
    """The notebook in JupyterLab, all cells run."""
    page.goto(f"{lab}/lab/workspaces/{name}/tree/{name}.ipynb")  # a place of its own: no tab of another lesson comes back
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    wait_for_kernel(page, lab, name)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    try:
        page.wait_for_function(DONE, timeout=180_000)
    finally:
        keep_picture(page, f"{name}-run")


def wait_for_kernel(page, lab, name, seconds=120):
    """Until the server says that a kernel is idle and the page is connected to it: an earlier request would be forgotten."""
    for _ in range(seconds):
        sessions = page.request.get(f"{lab}/api/sessions").json()
        kernels = [s["kernel"] for s in sessions if s["path"] == f"{name}.ipynb"]
        if any(k["execution_state"] == "idle" and k["connections"] > 0 for k in kernels):
            page.wait_for_timeout(2000)
            return
        page.wait_for_timeout(1000)
    raise AssertionError(f"no kernel came up: {kernels}")


def errors(page):
    """Tracebacks on the page."""
    return page.locator(
        '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedText[data-mime-type*="stderr"]'
    ).all_inner_texts()


def keep_picture(page, name):
    """A full screenshot where LABKIT_SCREENSHOTS says."""
    if folder := os.environ.get("LABKIT_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
