"""How many rows a run would have: counted where questions are near, else what its settings say or what is assumed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from raycalib.config import PipelineConfig
from raycalib.sources import DrawTally, QuestionSet, RefusedRow, asked_styles, draw_set, evaluation_sets, training_set
from raycalib.sources.facts.splits import HELDOUT, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.hub.catalogue import HUB_SOURCES
from raycalib.sources.names import EVALUATIONS, FACTS, MIXTURE, SourcePart
from raycalib.sources.settings import SourceSettings

KNOWN_ROWS = {"eval:mmlu": 14_042, "eval:mmlu_pro": 12_032, "gsm8k": 1_319}
"""Test rows of datasets, as their cards on the hub say (cais/mmlu, TIGER-Lab/MMLU-Pro, openai/gsm8k)."""
READ_BYTES = 32 * 2**20
"""Files of your own of up to so many bytes are read and counted."""


@dataclass(frozen=True, kw_only=True)
class PlannedRows:
    """Rows of one model and style.

    Attributes:
        train, val_select, val_calibrate: to learn from.
        evaluated: by the set's name.
        is_counted: whether all of them are counted and none is assumed.
    """

    train: int
    val_select: int
    val_calibrate: int
    evaluated: dict[str, int]
    is_counted: bool

    @property
    def learned(self) -> int:
        """All that is learned from."""
        return self.train + self.val_select + self.val_calibrate

    @property
    def n_evaluated(self) -> int:
        """Of all evaluation sets."""
        return sum(self.evaluated.values())


def planned_rows(config: PipelineConfig, style: str) -> PlannedRows:
    """What a run of one style would have for each of its models.

    Raises:
        ConfigError: a set is unknown, or none of its sources has words for the style.
        DataError: a file of one's own cannot be read.
    """
    training = training_set(config.source)
    counted = not config.comes_in and _is_near(config.source)
    learned = _counted(training, style, config.seed) if counted else _assumed_training(config)
    evaluated = dict[str, int]()
    for each in evaluation_sets(config.source, config.evaluation_sets, with_own=not config.comes_in):
        if style in asked_styles(each, config.styles, config.seed):
            is_near = _is_near(each.source)
            counted = counted and is_near
            n_rows = _counted(each, style, config.seed).total() if is_near else _assumed(config, each)
            evaluated |= {each.name: n_rows} if n_rows else {}
    return PlannedRows(
        train=learned[TRAIN],
        val_select=learned[VAL_SELECT],
        val_calibrate=learned[VAL_CALIBRATE],
        evaluated=evaluated,
        is_counted=counted,
    )


def _is_near(source: SourceSettings) -> bool:
    """Whether all rows are embedded, or in small files of one's own."""
    files = [Path(part.name.removeprefix("file:")) for part in source.parts if part.is_file]
    others = [part for part in source.parts if not part.is_file and part.name != FACTS]
    return not others and sum(path.stat().st_size for path in files if path.is_file()) <= READ_BYTES


def _counted(question_set: QuestionSet, style: str, seed: int) -> Counter[str]:
    """Rows of the set by split."""
    drawn = draw_set(question_set, style, seed, DrawTally())
    return Counter(row["split"] for row in drawn if not isinstance(row, RefusedRow))


def _assumed_training(config: PipelineConfig) -> Counter[str]:
    planning, limits = config.planning, config.source.limits
    wanted = {TRAIN: planning.rows, VAL_SELECT: planning.val_rows, VAL_CALIBRATE: planning.calibrate_rows}
    training = [part for part in config.source.parts if not _only_evaluates(part)]
    at_most = sum(part.limit for part in training if part.limit) if all(part.limit for part in training) else None
    return Counter(
        {
            split: min(n, *(most for most in (limits.get(split), at_most) if most is not None), n)
            for split, n in wanted.items()
        }
    )


def _assumed(config: PipelineConfig, question_set: QuestionSet) -> int:
    """Rows of a set that is far away."""
    source = question_set.source
    if question_set.from_elsewhere:
        return _at_most(source.parts[0], config)
    n_rows = sum(_at_most(part, config) for part in source.parts if question_set.name == _own_set(part))
    return min(n_rows, source.limits.get(question_set.name, n_rows))


def _at_most(part: SourcePart, config: PipelineConfig) -> int:
    known = KNOWN_ROWS.get(part.name, config.planning.test_rows)
    return known if part.limit is None else min(known, part.limit)


def _own_set(part: SourcePart) -> str:
    """To which of a run's own evaluation sets a part's test rows go; empty where it has none."""
    if part.name == MIXTURE:
        return ""
    return HELDOUT if _only_evaluates(part) else TEST


def _only_evaluates(part: SourcePart) -> bool:
    return part.name in EVALUATIONS or (part.name in HUB_SOURCES and HUB_SOURCES[part.name].evaluation_only)
