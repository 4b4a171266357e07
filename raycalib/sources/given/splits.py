"""Which split of a run a given row goes to: as its place or its column says, else dealt by its question."""

from collections.abc import Iterable
from dataclasses import dataclass

from raycalib.sources.dealing import TRAIN_SHARES, VALIDATION_SHARES, WHOLE_SHARES, Shares, deal
from raycalib.sources.facts.splits import HELDOUT, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT

TRAINING, VALIDATION = "training", "validation"

SPLIT_NAMES: dict[str, str] = {
    TRAIN: TRAIN,
    TRAINING: TRAIN,
    **dict.fromkeys((VALIDATION, "val", "valid", "dev"), VALIDATION),
    VAL_SELECT: VAL_SELECT,
    VAL_CALIBRATE: VAL_CALIBRATE,
    TEST: TEST,
    HELDOUT: HELDOUT,
}
"""From what places and columns call a split to what is meant; capital letters do not matter."""

TRAINING_SPLITS = (TRAIN, VAL_SELECT, VAL_CALIBRATE)
"""The splits of the training set, in its order."""


def set_of(split: str) -> str:
    """The question set that a split belongs to: the training set, or an evaluation set of the split's name.

    >>> set_of("val_select"), set_of("test")
    ('training', 'test')
    """
    return TRAINING if split in TRAINING_SPLITS else split


def meant(name: str) -> str | None:
    """The split that a name means; None where it is unknown, and empty for an empty name.

    >>> meant("Dev"), meant("extra"), meant(" ")
    ('validation', None, '')
    """
    name = name.strip().lower()
    return SPLIT_NAMES.get(name) if name else ""


@dataclass(frozen=True, kw_only=True)
class Dealing:
    """How rows that do not say it wholly are dealt to the run's splits: by a hash of their question and the seed.

    Attributes:
        seed: of the hash.
        train_shares: of rows that say train; None leaves them there.
    """

    seed: int
    train_shares: Shares | None = None

    def split_of(self, named: str, question: str) -> str:
        """The run's split.

        Args:
            named: what ``meant`` gives; empty where neither place nor row says.
            question: equal ones share a split.
        """
        shares = {VALIDATION: VALIDATION_SHARES, TRAIN: self.train_shares, "": WHOLE_SHARES}.get(named)
        return named if shares is None else deal(shares, self.seed, question)


def dealing_of(named: Iterable[str], by_place: bool, seed: int) -> Dealing:
    """The dealing of rows of which these are all splits that are named.

    Where no row is there to validate on, some of the train rows do. A place with train rows alone is dealt as one
    without splits: the hub calls train what has none.

    Args:
        named: what ``meant`` gives of each; empty where rows do not say.
        by_place: the place names them (files, the hub), not a column.
        seed: of the dealing.
    """
    names = set(named)
    if TRAIN not in names or names & {VALIDATION, VAL_SELECT, VAL_CALIBRATE, ""}:
        return Dealing(seed=seed)
    return Dealing(seed=seed, train_shares=WHOLE_SHARES if by_place and names == {TRAIN} else TRAIN_SHARES)
