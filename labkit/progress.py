"""One progress bar for everything that takes more than two seconds."""

import os
from typing import Any


def bar(*, disable: bool = False, **options: Any) -> Any:
    """A tqdm bar that appears after two seconds; silent in smoke runs and exported pages, where nobody watches.

    >>> with bar(total=3, desc="steps") as progress:
    ...     _ = progress.update(3)
    """
    import tqdm
    import tqdm.auto

    quiet = disable or any(os.environ.get(name) == "1" for name in ("LABKIT_SMOKE", "LABKIT_STATIC"))
    kind = tqdm.tqdm if quiet else tqdm.auto.tqdm  # the plain one builds no widget
    return kind(**{"delay": 2, "leave": False, "disable": quiet, **options})
