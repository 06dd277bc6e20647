"""Says before the first step what the loss of a large batch will take, where that matters."""

from labkit.forecast import duration, forecast
from labkit.registry import Entry
from labkit.training.config import Config
from labkit.training.given import OwnLoss

LARGE = 2048  # instances; the loss of a smaller batch is small beside any encoder
MINUTE = 60.0
SHARE = 4  # of the free memory, above which it matters


def foreseen(config: Config, entry: Entry | OwnLoss, width: int) -> str:
    """The forecast in words; nothing for small batches, for losses of one's own, and where it will not be felt."""
    if config.batch < LARGE or not isinstance(entry, Entry) or entry.kind != "loss":
        return ""
    said = forecast(config.loss, config.batch, max(width, 2))
    whole = said.seconds * config.steps
    if whole < MINUTE and (said.free is None or said.memory * SHARE < said.free):
        return ""
    return f"labkit: {said}; {config.steps:,} steps: {duration(whole)}"
