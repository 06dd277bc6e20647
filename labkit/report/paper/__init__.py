"""How a report is read and kept: text, a page, a folder, LaTeX, a paragraph of methods, checks."""

from labkit.report.paper.bounds import CheckFailed, check
from labkit.report.paper.drawings import Drawn, figures
from labkit.report.paper.folder import save
from labkit.report.paper.latex import to_latex
from labkit.report.paper.methods import methods
from labkit.report.paper.notebook import notebook
from labkit.report.paper.page import page
from labkit.report.paper.text import text

__all__ = ["CheckFailed", "Drawn", "check", "figures", "methods", "notebook", "page", "save", "text", "to_latex"]
