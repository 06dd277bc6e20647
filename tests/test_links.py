"""Every relative link in our documents leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("data/**/*.md"), *ROOT.glob("notebooks/**/*.md"), *ROOT.glob("notebooks/*.py")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document):
    lines = document.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if document.suffix != ".py" or line.startswith("#"))  # `a["b"](c)` is no link
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)]*)?\)", text)
    missing = [t for t in targets if not (document.parent / t).exists()]
    assert not missing, f"{document.name} links to {missing}"
