"""Log-odds of one method for each answer of a set. No Ray."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raycalib.errors import DataError
from raycalib.evaluation.baselines import TaskRates, answer_log_odds, log_odds, option_log_odds
from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    COMBINED,
    FAMILY_RATE,
    OPTION_LIKELIHOOD,
    PROBE,
    ZERO_SHOT_QUERY,
)
from raycalib.stages.combo import Method
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.evidence import LOGITS, Evidence
from raycalib.tuning.combined import Combined
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_files import load_probe

ANSWERED = ("log_likelihood", "option_log_likelihoods", "answer")
"""What a confidence may be made from, of a labelled answer."""

LogOdds = Callable[[Evidence], list[float | None]]
"""One for each row of a block."""


@dataclass(frozen=True, kw_only=True)
class TrainingFits:
    """What was fitted on training rows, and for ``combined`` on calibration rows; by method why nothing was."""

    rates: TaskRates | None = None
    probe: Probe | None = None
    combined: Combined | None = None
    holes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """What a method says of rows.

    Attributes:
        log_odds: of a block.
        reason: why it has none at all; empty where it has.
        scored: what a tuned model says, whose rows are read instead of the evidence.
        reads_features: whether it looks at hidden states.
        signals: names of methods whose log-odds it is given, as columns of these names, in place of the evidence.
    """

    log_odds: LogOdds
    reason: str = ""
    scored: StageOutput | None = None
    reads_features: bool = False
    signals: Sequence[str] = ()


def predictor(method: Method, scored: Mapping[str, StageOutput], fits: TrainingFits) -> Predictor:
    """What gives a method's predictions; a hole where it has none at all.

    Args:
        method: which.
        scored: by method, what a tuned model says of the rows.
        fits: what was fitted on training rows.

    Raises:
        DataError: nothing says what the method's confidences are.
    """
    name = method.name
    if reason := method.hole or fits.holes.get(name, ""):
        return nothing(reason)
    if name in scored:
        return Predictor(log_odds=_margins, scored=scored[name])
    if method.probe is not None:
        return Predictor(log_odds=_probed(load_probe(method.probe.place, method.probe.file)), reads_features=True)
    if name == PROBE and fits.probe is not None:
        return Predictor(log_odds=_probed(fits.probe), reads_features=True)
    if name == FAMILY_RATE and fits.rates is not None:
        return Predictor(log_odds=_rated(fits.rates))
    if name == COMBINED and fits.combined is not None:
        return _combining(fits.combined)
    plain: dict[str, LogOdds] = {
        ZERO_SHOT_QUERY: _margins,
        ANSWER_LIKELIHOOD: lambda block: [answer_log_odds(row) for row in block.rows("log_likelihood")],
        OPTION_LIKELIHOOD: lambda block: [
            option_log_odds(row) for row in block.rows("option_log_likelihoods", "answer")
        ],
    }
    if name in plain:
        return Predictor(log_odds=plain[name])
    raise DataError(f"method: {name!r} has nothing to predict from")


def nothing(reason: str) -> Predictor:
    """A hole."""
    return Predictor(log_odds=lambda block: [None] * len(block.table), reason=reason)


def _combining(combined: Combined) -> Predictor:
    def log_odds_of(block: Evidence) -> list[float | None]:
        return list(combined.log_odds(margins_of(block, combined.signals)).tolist())

    return Predictor(log_odds=log_odds_of, signals=combined.signals)


def margins_of(block: Evidence, signals: Sequence[str]) -> np.ndarray:
    """(n, k) log-odds of the signals; NaN where there are none."""
    columns = [np.array(block.table[name].to_numpy(), dtype=np.float64) for name in signals]
    return np.column_stack(columns) if columns else np.zeros((len(block.table), 0))


def _margins(block: Evidence) -> list[float | None]:
    no, yes = (block.values(name) for name in LOGITS)
    return [None if a is None or b is None else b - a for a, b in zip(no, yes, strict=True)]


def _rated(rates: TaskRates) -> LogOdds:
    return lambda block: [log_odds(rates.rate(task)) for task in block.values("task")]


def _probed(probe: Probe) -> LogOdds:
    def log_odds_of(block: Evidence) -> list[float | None]:
        usable = block.usable
        margins = probe.margin(block.features[usable]) if len(usable) else []
        found: list[float | None] = [None] * len(block.table)
        for place, margin in zip(usable.tolist(), margins, strict=True):
            found[place] = float(margin)
        return found

    return log_odds_of
