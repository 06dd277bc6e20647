"""Templates with numbers in them, filled in the same way here and in a browser."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np

FIELD = re.compile(r"\{([\w.]+)(?::([^}]*))?\}")
SPEC = re.compile(r"|d|\+?(\.\d+)?g|\+?\.\d+[f%]")


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with its numbers; a minus sign is a minus sign.

    Raises:
        ValueError: a name that is not there, or a format that a browser would not know.

    >>> fill("{push:.0%} at {temperature:g}, {after.gain:+.2f}", {"push": 0.314, "temperature": 0.1, "after.gain": -2})
    '31% at 0.1, −2.00'
    """

    def one(found: re.Match[str]) -> str:
        name, spec = found[1], found[2] or ""
        if name not in values:
            raise ValueError(f"template {template!r} names {name!r}; there are {', '.join(sorted(values))}")
        return said(values[name], spec)

    return FIELD.sub(one, template)


def said(value: Any, spec: str = "") -> str:
    """A number or a word as it is written.

    >>> said(0.5, ".1%"), said(float("nan"), ".2f"), said("digits"), said(1e-5), said(True)
    ('50.0%', 'NaN', 'digits', '1e-05', 'yes')
    """
    if not SPEC.fullmatch(spec):
        raise ValueError(f"format {spec!r} is not one of d, g, .3g, .2f, +.2f, .0%")
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    number = float(value) + 0.0  # without the sign of -0.0
    if not np.isfinite(number):
        return "NaN" if np.isnan(number) else "∞" if number > 0 else "−∞"
    text = f"{round(number)}" if spec == "d" else shortest(number, spec) if spec[-1:] in ("", "g") else fixed(number, spec)
    if text[:1] != "-" or "e" in text:
        return text
    return text.replace("-", "−" if re.search("[1-9]", text) else "")


def shortest(number: float, spec: str) -> str:
    """So many digits that count, halves rounded up.

    >>> shortest(0.125, ".2g"), shortest(1e-5, ""), shortest(250, "+g")
    ('0.13', '1e-05', '+250')
    """
    digits = int(spec.lstrip("+.").rstrip("g") or 6)
    rounded = float(Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(number))
    return format(rounded, f"{'+' * spec.startswith('+')}.{digits}g")


def fixed(number: float, spec: str) -> str:
    """So many digits behind the point, halves rounded up: as browsers do, and not as Python does, to the even digit.

    >>> fixed(0.125, ".0%"), fixed(0.125, "+.2f")
    ('13%', '+0.13')
    """
    if abs(number) >= 1e19:
        return format(number, "g")
    digits, percent = int(spec.lstrip("+.")[:-1]), spec.endswith("%")
    exact = Decimal(100 * number if percent else number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return format(exact, f"{'+' * spec.startswith('+')}.{digits}f") + "%" * percent
