"""Question sets: the one that is trained and validated on, and any number that are evaluated on, each a unit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
import re

from raycalib.errors import ConfigError
from raycalib.sources.facts.splits import HELDOUT, SPLITS, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.hub.catalogue import HUB_SOURCES
from raycalib.sources.names import EVALUATIONS, LIMIT, SourcePart, parse_source
from raycalib.sources.settings import SourceSettings

TRAINING = "training"
CALIBRATION = "calibration"
LEARNED_FROM = (TRAINING, CALIBRATION)
"""Sets that something is fitted on; of the second only temperatures."""

TRAINING_SPLITS = (TRAIN, VAL_SELECT, VAL_CALIBRATE)
OWN_SETS = (TEST, HELDOUT)
"""The evaluation sets that a dataset may have of its own, each named as its split."""

COLLECTIONS = {name.removeprefix("eval:"): name for name in EVALUATIONS}
RESERVED = frozenset({*LEARNED_FROM, "train", "validation", "all", "test_fresh_entities", *SPLITS})


@dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Questions that go together from being drawn to their figures.

    Attributes:
        name: ``training``, ``test``, ``heldout_families``, or how an evaluation set is called.
        source: where they come from.
        splits: of the run, whose rows it takes; of an evaluation set from elsewhere its name alone, which all of its
            rows have as their split.
    """

    name: str
    source: SourceSettings
    splits: tuple[str, ...]

    @property
    def from_elsewhere(self) -> bool:
        """Whether it is no part of the dataset that is trained on."""
        return self.name not in (*LEARNED_FROM, *OWN_SETS)

    @property
    def is_training(self) -> bool:
        """Whether it is what is tuned, selected and calibrated on."""
        return self.name == TRAINING

    @property
    def is_learned_from(self) -> bool:
        """Whether something is fitted on it."""
        return self.name in LEARNED_FROM

    @property
    def slug(self) -> str:
        """The name as a part of a file name."""
        return re.sub(r"[^\w.]+", "-", self.name)


def training_set(source: SourceSettings) -> QuestionSet:
    """The rows that are tuned, selected and calibrated on."""
    return QuestionSet(name=TRAINING, source=source, splits=TRAINING_SPLITS)


def calibration_set(source: SourceSettings) -> QuestionSet:
    """The rows of the training set that temperatures are fitted on, where nothing else is learned."""
    return QuestionSet(name=CALIBRATION, source=source, splits=(VAL_CALIBRATE,))


def evaluation_sets(source: SourceSettings, named: Sequence[str], *, with_own: bool = True) -> list[QuestionSet]:
    """The sets that are evaluated on, in order.

    The dataset's own ``test`` and ``heldout_families`` come first, where none of the two is named; else those named.

    Args:
        source: the dataset that is trained on; its columns and numbers of examples hold for the others too.
        named: such as ``mmlu``, ``arc:500``, ``file:PATH``, ``test:100``.
        with_own: the dataset's own sets are wanted where none is named.

    Raises:
        ConfigError: a name is unknown or there twice.
    """
    found = [_named(text, source) for text in named]
    if with_own and not any(each.name in OWN_SETS for each in found):
        found = [QuestionSet(name=name, source=source, splits=(name,)) for name in OWN_SETS] + found
    names = [each.name for each in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ConfigError(
            f"eval: {', '.join(twice)} is named twice; name each set once, and files by names of their own"
        )
    return found


def _named(text: str, source: SourceSettings) -> QuestionSet:
    own = LIMIT.fullmatch(text)
    if (own[1] if own else text) in OWN_SETS:
        return _own(own[1] if own else text, int(own[2]) if own else None, source)
    beginning = own[1] if own else text
    limit = f":{own[2]}" if own else ""
    try:
        parts = parse_source(COLLECTIONS.get(beginning, beginning) + limit)
    except ConfigError as error:
        own_names = ", ".join((*OWN_SETS, *COLLECTIONS))
        raise ConfigError(f"eval: {str(error).removeprefix('source: ')}; also {own_names}") from None
    if len(parts) > 1:
        raise ConfigError(f"eval: {text!r} joins several sources; name each by an --eval of its own")
    name = _name(parts[0])
    return QuestionSet(name=name, source=replace(source, name=parts[0].text, limits={}), splits=(name,))


def _own(name: str, limit: int | None, source: SourceSettings) -> QuestionSet:
    if limit == 0:
        raise ConfigError(f"eval: {name}:0 takes no rows; at least 1")
    if limit is not None:
        source = replace(source, limits=source.limits | {name: min(limit, source.limits.get(name, limit))})
    return QuestionSet(name=name, source=source, splits=(name,))


def _name(part: SourcePart) -> str:
    """What figures of the set are called."""
    if part.is_file:
        name = Path(part.name.removeprefix("file:")).stem
    elif part.is_dataset:
        name = part.name.removeprefix("hub:").partition("/")[2]
    else:
        name = part.name.removeprefix("eval:")
    known = {*RESERVED, *COLLECTIONS, *HUB_SOURCES} if part.is_file or part.is_dataset else RESERVED
    return f"eval-{name}" if name in known else name
