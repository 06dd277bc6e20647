"""Templates with numbers in them, filled in the same way here and in a browser."""

import re
from collections.abc import Mapping
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
    number = float(value)
    if not np.isfinite(number):
        return "NaN" if np.isnan(number) else "∞" if number > 0 else "−∞"
    text = f"{round(number)}" if spec == "d" else format(number, spec or "g")
    return text.replace("-", "−") if text[:1] == "-" and "e" not in text else text


def at(values: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The values of one element: of arrays their entry at this place, everything else as it is."""
    found = {}
    for name, value in values.items():
        listed = isinstance(value, (list, tuple, np.ndarray))
        if not listed:
            found[name] = value
        elif place < len(value):
            found[name] = value[place]
    return found
