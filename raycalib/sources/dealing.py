"""Which split of a run a group of questions goes to."""

from raycalib.hashing import text_hash
from raycalib.sources.facts.splits import TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT

Shares = tuple[tuple[str, float], ...]

VALIDATION_SHARES: Shares = ((VAL_SELECT, 0.5), (VAL_CALIBRATE, 0.5))
"""Of a source's validation rows."""

TRAIN_SHARES: Shares = ((TRAIN, 0.8), (VAL_SELECT, 0.1), (VAL_CALIBRATE, 0.1))
"""Of the train rows of a source without validation rows."""

WHOLE_SHARES: Shares = ((TRAIN, 0.5), (VAL_SELECT, 0.1), (VAL_CALIBRATE, 0.15), (TEST, 0.25))
"""Of rows that come without splits."""


def deal(shares: Shares, seed: int, group: str) -> str:
    """The split of a group: equal groups share one, whatever their order and number."""
    draw = int(text_hash("split", str(seed), group, digits=13), 16) / 16**13
    for name, share in shares:
        draw -= share
        if draw < 0:
            return name
    return shares[-1][0]
