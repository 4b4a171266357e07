"""Log-odds of one method for each answer of a set. No Ray."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from raycalib.errors import DataError
from raycalib.evaluation.baselines import TaskRates, answer_log_odds, log_odds, option_log_odds
from raycalib.evaluation.methods import ANSWER_LIKELIHOOD, FAMILY_RATE, OPTION_LIKELIHOOD, PROBE, ZERO_SHOT_QUERY
from raycalib.records import Row
from raycalib.stages.combo import Method
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.evidence import Evidence
from raycalib.stages.predictions.prediction import Predicted, no_predictions, prediction
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_files import load_probe


@dataclass(frozen=True, kw_only=True)
class TrainingFits:
    """What was fitted on training rows, and by method why nothing was."""

    rates: TaskRates | None = None
    probe: Probe | None = None
    holes: Mapping[str, str] = field(default_factory=dict)


def method_logits(
    method: Method, evidence: Evidence, scored: Mapping[str, StageOutput], fits: TrainingFits, style: str
) -> Predicted:
    """Predictions of a method for the rows; a hole where it has none at all.

    Args:
        method: which.
        evidence: the rows, with what the base model says of them.
        scored: by method, what a tuned model says of them.
        fits: what was fitted on training rows.
        style: of the combo.

    Raises:
        DataError: nothing says what the method's confidences are.
    """
    name = method.name
    if reason := method.hole or fits.holes.get(name, ""):
        return no_predictions(evidence.rows, name, reason)
    if name in scored:
        tuned = [row for row in scored[name].rows() if row["style"] == style]
        return Predicted([prediction(row, name, _margin(row)) for row in tuned])
    if method.probe is not None:
        return _probed(evidence, load_probe(method.probe.place, method.probe.file), name)
    if name == PROBE and fits.probe is not None:
        return _probed(evidence, fits.probe, name)
    if name == FAMILY_RATE and fits.rates is not None:
        rates = fits.rates
        return Predicted([prediction(row, name, log_odds(rates.rate(row["task"]))) for row in evidence.rows])
    if name == ZERO_SHOT_QUERY:
        return Predicted([prediction(row, name, _margin(row)) for row in evidence.rows])
    if name == ANSWER_LIKELIHOOD:
        return Predicted([prediction(row, name, answer_log_odds(row)) for row in evidence.rows])
    if name == OPTION_LIKELIHOOD:
        return Predicted([prediction(row, name, option_log_odds(row)) for row in evidence.rows])
    raise DataError(f"method: {name!r} has nothing to predict from")


def _margin(row: Row) -> float | None:
    if row["logit_yes"] is None or row["logit_no"] is None:
        return None
    return float(row["logit_yes"] - row["logit_no"])


def _probed(evidence: Evidence, probe: Probe, name: str) -> Predicted:
    usable = evidence.usable()
    margins = probe.margin(evidence.features[usable]) if len(usable) else []
    found = dict(zip(usable.tolist(), map(float, margins), strict=True))
    return Predicted([prediction(row, name, found.get(number)) for number, row in enumerate(evidence.rows)])
