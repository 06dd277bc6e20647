"""A run's beta, where the log itself tells it."""

from collections.abc import Mapping

import numpy as np

from labkit.diagnose.tracks import Key, Track

AGREE = 0.02  # of beta: chosen and rejected answers must tell the same, and every row lie on the line


def read_off(found: Mapping[Key, Track]) -> float | None:
    r"""beta, from evaluations of the same held-out pairs again and again; None where they do not tell.

    .. math:: \text{rewards} = \beta\,(\text{logps} - \text{logps of the reference})

    The reference's term is the same in every evaluation, so rewards lie on a line over logps whose slope is beta, for chosen
    and rejected answers alike. It is no such line if the reference moves too (`sync_ref_model`).
    """
    slopes = [s for side in ("chosen", "rejected") if (s := slope(found, side)) is not None]
    if len(slopes) < 2 or min(slopes) <= 0 or max(slopes) > (1 + AGREE) * min(slopes):
        return None
    return float(f"{np.mean(slopes):.3g}")


def slope(found: Mapping[Key, Track], side: str) -> float | None:
    rewards, logps = found.get(("rewards", side, True)), found.get(("logps", side, True))
    if rewards is None or logps is None:
        return None
    steps = sorted(rewards.at.keys() & logps.at.keys())
    x, y = (np.array([track.at[step] for step in steps]) for track in (logps, rewards))
    if len(steps) < 2 or np.ptp(x) < 1e-6 * max(1.0, np.abs(x).max()):
        return None
    line = np.polyfit(x, y, 1)
    off = np.abs(np.polyval(line, x) - y).max()
    return float(line[0]) if off <= AGREE * np.ptp(y) else None
