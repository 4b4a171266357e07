"""What is fitted on stored numbers alone: family rates, the probe, a temperature for every method. No Ray: seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from raycalib.errors import DataError, LossNotFiniteError
from raycalib.evaluation.baselines import TaskRates, TaskTally
from raycalib.evaluation.methods import FAMILY_RATE, FROM_TRAINING, PROBE
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.stages.predictions.calibrate import PLATTS, TEMPERATURES, calibrate, read_scalings
from raycalib.stages.predictions.evidence import evidence_of
from raycalib.stages.predictions.method_logits import TrainingFits
from raycalib.stages.predictions.probe_rows import CHOSEN_BY, FITTED_ON, PROBE_COLUMNS, ProbeSets
from raycalib.storage import Location, Manifest, write_manifest
from raycalib.tuning.combined_files import COMBINED_FILE, load_combined
from raycalib.tuning.label_counts import LEAST_TO_FIT, LabelCounts
from raycalib.tuning.probe_files import PROBE_RECORD, PROBE_TENSORS, load_probe, save_probe
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature_check import CheckedTemperature

VERSION = 1
"""Goes up where what is fitted comes out otherwise."""

RULES = {"least_to_fit": LEAST_TO_FIT, "one_class": "not fitted", "at_a_bound": "not fitted", "not_finite": "unscored"}
"""Part of what decides what is fitted: labels that say nothing fit nothing."""

NO_TRAINING = (
    "needs the training set with labels and features, which jobs/full_pipeline.py with the same flags and --out leaves"
)
RATES = "family_rates.json"
RATED = ("split", "task", *PROBE_COLUMNS)
"""What is learned from, of a labelled answer."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What was fitted for a combo.

    Attributes:
        output: where it lies; its shards are each method's predictions on ``val_calibrate``.
        training: what was fitted on training rows.
        temperatures: by method, fitted or with the reason why not; empty without rows to fit on.
        platts: likewise, Platt scalings; empty unless they are asked for.
    """

    output: StageOutput
    training: TrainingFits
    temperatures: Mapping[str, CheckedTemperature]
    platts: Mapping[str, CheckedTemperature] = field(default_factory=dict)

    @property
    def scalings(self) -> Mapping[str, CheckedTemperature]:
        """What is used, by method: Platt scaling where it is asked for."""
        return self.platts or self.temperatures


def fit(
    combo: Combo,
    methods: Sequence[Method],
    calibration: SetRows | None,
    training: SetRows | None,
    probe: ProbeSettings,
    seed: int,
    out: Location,
    *,
    with_platt: bool = False,
) -> Fitted:
    """Fits what the methods need on ``train`` and ``val_select``, and each method's temperature on ``val_calibrate``.

    What cannot be fitted is a hole, or a temperature that is none, with its reason.

    Args:
        combo: which.
        methods: for which something is fitted.
        calibration: rows of ``val_calibrate`` with the tuned methods' logits; None fits no temperature.
        training: rows of the training set; None where no method is fitted on them.
        probe: how a probe is fitted.
        seed: of the probe.
        out: the run's directory.
        with_platt: also fits Platt scaling for each method.
    """
    wanted = [method for method in methods if method.is_for(combo.style)]
    learns = training is not None and any(method.name in FROM_TRAINING and not method.probe for method in wanted)
    identity: dict[str, Any] = {
        "version": VERSION,
        "style": combo.style,
        "methods": [method.identity() for method in wanted],
        "rules": RULES,
    } | ({"seed": seed, "probe": asdict(probe)} if learns else {})
    identity |= {"platt": True} if with_platt else {}
    inputs = calibration.keys if calibration else []
    inputs += [training.labelled.key, training.features.key] if training and learns else []
    key = stage_key("fitted", identity, inputs)
    place = stage_place(out, "fitted", combo.slug, key)
    if done := finished(place, key):
        return _read(done)
    say_why_again(place, f"fitted {combo}", identity, tuple(inputs))
    if training and learns:
        holes = _fit_on_training(place, wanted, training, combo.style, probe, seed)
    else:
        holes = {method.name: NO_TRAINING for method in wanted if method.name in FROM_TRAINING and not method.probe}
    manifest = Manifest(
        stage="fitted",
        key=key,
        config={"model": combo.model.name, **identity},
        inputs=tuple(inputs),
        **calibrate(place, wanted, calibration, _read_training(place, holes), combo.style, with_platt),
    )
    write_manifest(place, manifest, besides=(TEMPERATURES, PLATTS, RATES, PROBE_TENSORS, PROBE_RECORD, COMBINED_FILE))
    output = finished(place, key)
    assert output is not None, "it was just written"
    return _read(StageOutput(place=place, manifest=output.manifest, was_done=False))


def _fit_on_training(
    place: Location, methods: Sequence[Method], rows: SetRows, style: str, probe: ProbeSettings, seed: int
) -> dict[str, str]:
    """Writes what is fitted on training rows, which are read once; by method, why it is not."""
    names = {method.name for method in methods if not method.probe}
    tally, sets, holes = TaskTally(), ProbeSets(), dict[str, str]()
    for block in evidence_of(rows, style, RATED, (FITTED_ON, CHOSEN_BY)).blocks(with_features=PROBE in names):
        for row in block.rows(*RATED) if FAMILY_RATE in names else ():
            if row["split"] == FITTED_ON:
                tally.add(row["task"], row["query_label"])
        if PROBE in names:
            sets.add(block)
    if FAMILY_RATE in names:
        # Labels of one class give every family one rate: what is left of it is the number of its rows.
        counts = LabelCounts(tally.n_right, tally.n_scored - tally.n_right)
        if reason := counts.nothing_said("training labels"):
            holes[FAMILY_RATE] = f"not fitted: {reason}"
        else:
            place.write_json(RATES, asdict(tally.rates()))
    if PROBE in names:
        try:
            train, val = sets.rows()
            save_probe(place, fit_probe(train.features, train.labels, val.features, val.labels, probe, seed))
        except (DataError, LossNotFiniteError) as error:  # said in the table: the other methods have their figures
            holes[PROBE] = f"not fitted: {error}"
    return holes


def _read(output: StageOutput) -> Fitted:
    details = output.manifest.details
    return Fitted(
        output=output,
        training=_read_training(output.place, details["holes"]),
        temperatures=read_scalings(details["temperatures"]),
        platts=read_scalings(details.get("platts", [])),
    )


def _read_training(place: Location, holes: Mapping[str, str]) -> TrainingFits:
    return TrainingFits(
        rates=TaskRates(**place.read_json(RATES)) if place.exists(RATES) else None,
        probe=load_probe(place) if place.exists(PROBE_TENSORS) else None,
        combined=load_combined(place) if place.exists(COMBINED_FILE) else None,
        holes=holes,
    )
