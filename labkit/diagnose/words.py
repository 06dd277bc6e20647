"""Which words say the contrary of a chosen answer, and which nearly the same: a guess from lists, after the user's word."""

import unicodedata
from collections.abc import Iterable

AGREE = (
    "yes yeah yep yup sure certainly absolutely definitely indeed gladly ok okay agree agreed true right correct of-course "
    "surely please happy good"
)
REFUSE = (
    "no nope nah never not none nothing cannot can't can’t won't don't sorry unfortunately unable refuse disagree false wrong "
    "incorrect hardly bad neither"
)
SIDES = dict.fromkeys(AGREE.split(), 1) | dict.fromkeys(REFUSE.split(), -1)
SPACES = "Ġ▁Ċ "  # how tokenizers write the space before a word, and a new line


def bare(word: str) -> str:
    """A token as the word that it stands for: without the marks of its tokenizer, without case and punctuation.

    >>> bare("ĠNo,"), bare("▁Never"), bare("...")
    ('no', 'never', '')
    """
    word = unicodedata.normalize("NFKC", word).strip(SPACES).casefold()
    return word.strip("".join(c for c in word if not (c.isalnum() or c in "'’")))


def kind(word: str, chosen: str) -> str | None:
    """ "opposite" or "similar" to the chosen word, or None if the lists do not know.

    >>> kind("Yes", "No"), kind(" never", "No"), kind("NO", "No"), kind("table", "No")
    ('opposite', 'similar', 'similar', None)
    """
    a, b = bare(word), bare(chosen)
    if a and a == b:
        return "similar"
    sides = SIDES.get(a, 0) * SIDES.get(b, 0)
    return {1: "similar", -1: "opposite"}.get(sides)


def matching(wanted: Iterable[int | str], vocabulary: Iterable[str]) -> set[int]:
    """The ids of these tokens or words; a word matches every token that stands for it.

    Raises:
        ValueError: a word that no token stands for.
    """
    items = [wanted] if isinstance(wanted, (int, str)) else list(wanted)
    names: list[str] = [bare(w) for w in vocabulary] if any(isinstance(i, str) for i in items) else []
    found: set[int] = set()
    for item in items:
        if isinstance(item, int):
            found.add(item)
            continue
        ids = {i for i, name in enumerate(names) if name == bare(item)}
        if not ids:
            raise ValueError(f"no single token stands for {item!r}: give token ids")
        found |= ids
    return found
