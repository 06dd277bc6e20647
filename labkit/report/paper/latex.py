r"""A report as a LaTeX table with booktabs' rules, to be put into a paper with `\input{table}`."""

from labkit.report.paper.words import PERCENT, counted, grouped, is_clean, of_class, title
from labkit.report.pieces import Number
from labkit.report.result import Report, Section

ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escaped(words: str) -> str:
    r"""
    >>> escaped("50 % of z_1 & z_2")
    '50 \\% of z\\_1 \\& z\\_2'
    """
    return "".join(ESCAPES.get(c, c) for c in " ".join(words.split()))


def number(x: float) -> str:
    r"""
    >>> number(-2.71828), number(1.5e-7), number(50000)
    ('$-2.718$', '$1.5 \\times 10^{-7}$', '$50{,}000$')
    """
    written = f"{x:,.0f}" if abs(x) >= 1000 else f"{x + 0.0:.4g}"
    digits, _, power = written.partition("e")
    return f"${digits.replace(',', '{,}')}" + (rf" \times 10^{{{int(power)}}}$" if power else "$")


def to_latex(report: Report) -> str:
    """Every number but those of single classes and the counts of faults that are 0, which the caption sums up."""
    body = [part for part in map(rows, report.sections) if part]
    clean = sum(is_clean(each) for each in report.numbers)
    caption = f"{report.name}: {report.sampled}. In brackets {PERCENT} intervals; the floor is the first null row."
    caption += f" {clean} counts of faults are 0." if clean else ""
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{tab:{''.join(c if c.isalnum() else '-' for c in report.name)}}}",
        r"\begin{tabular}{llrlrlr}",
        r"\toprule",
        rf" & of & value & {escaped(PERCENT)} interval & $n$ & floor & \\",
        r"\midrule",
        "\n\\midrule\n".join(body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def rows(section: Section) -> str:
    found = grouped(each for each in section.numbers if not is_clean(each) and not of_class(each))
    return "\n".join(row(each, first=k == 0) for numbers in found.values() for k, each in enumerate(numbers))


def row(each: Number, first: bool) -> str:
    exact = counted(each.estimate)
    reach = "" if exact else f"[{number(each.estimate.low)}, {number(each.estimate.high)}]"
    name = escaped(title(each.meter)) if first else ""
    cells = [name, escaped(each.of), number(each.value), reach, number(each.n)]
    return " & ".join([*cells, escaped(each.floor.name), number(each.floor.estimate.value)]) + r" \\"
