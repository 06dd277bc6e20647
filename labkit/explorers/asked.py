"""What a caller may ask for, where the names hold commas of their own."""

from collections.abc import Sequence


def among(name: str, value: str, options: Sequence[str]) -> None:
    """Nothing, where the value is one of the options.

    Raises:
        ValueError: it is not; the message quotes the options, so that one sees where each ends.

    >>> among("scene", "random", ("random", "random, on a sphere"))
    """
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}")
