"""From logits to confidences: what is fitted in seconds, and every method's predictions on every evaluation set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raycalib.evaluation.methods import LORA_PROMPT
from raycalib.lm.names import ModelSource
from raycalib.sources import LEARNED_FROM
from raycalib.stages.combo import Combo, GivenProbe, SetRows, Unit
from raycalib.stages.given.methods import GivenMethod
from raycalib.stages.labels.judged_by import judge_notes
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.fit import Fitted, fit
from raycalib.stages.predictions.predict import predict
from raycalib.stages.tuned.tune_job import TuneJob, training_record
from raycalib.steps.given import all_methods, find_given, score_given
from raycalib.steps.run import Run
from raycalib.steps.scored import Scored, of_unit, scored
from raycalib.steps.tuned import Learned

NO_PROBES: Mapping[Combo, GivenProbe] = {}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A combo's predictions on one set, and what a reader of its figures has to know.

    Attributes:
        combo: which.
        set: its name.
        output: the predictions.
        fitted: what they were made with.
        trainings: how what was tuned came about, as the report shows it.
        notes: who judged, and the like.
        rows: key of the labelled answers, the same for evaluations of the same rows.
        failed: by method, why it has no confidences.
    """

    combo: Combo
    set: str
    output: StageOutput
    fitted: Fitted
    trainings: Sequence[dict[str, object]]
    notes: Sequence[str]
    rows: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)


def evaluate(
    run: Run,
    model: ModelSource,
    learned: Learned,
    tuned: Sequence[TuneJob] = (),
    probes: Mapping[Combo, GivenProbe] = NO_PROBES,
) -> list[Evaluation]:
    """A model's predictions on each evaluation set, by every method, each also with a temperature.

    Args:
        run: the run.
        model: whose answers they are.
        learned: its labels and features, of what is learned from too.
        tuned: adapters of all models.
        probes: that a sweep has chosen, in place of those that are fitted here.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: what is given cannot be named.
    """
    given = find_given(run, model)
    # A forward pass for each answer and adapter; of the training set only what temperatures are fitted on.
    all_scored = scored(run, model, learned.labelled, tuned) | score_given(run, model, learned.labelled, given)
    found = list[Evaluation]()
    for combo in run.combos_of(model):
        mine = [
            job for job in tuned if (job.model, job.style, job.settings.method) == (model, combo.style, LORA_PROMPT)
        ]
        trainings = [training_record(job) for job in mine]
        of_style = [output for unit, output in learned.labelled.items() if unit.style == combo.style]
        notes = judge_notes(of_style, run.labelling.judge_errors)
        fitted = _fit(run, combo, learned, all_scored, given[combo], probes.get(combo))
        for unit in learned.labelled:
            if unit.style == combo.style and unit.set not in LEARNED_FROM and unit in learned.features:
                methods = all_methods(run, combo, given[combo], unit.set, probes.get(combo))
                rows = _rows(learned, all_scored, unit)
                output = run.keep(predict(combo, unit.set, methods, rows, fitted, run.out))
                found.append(
                    Evaluation(
                        combo=combo,
                        set=unit.set,
                        output=output,
                        fitted=fitted,
                        trainings=trainings,
                        notes=notes,
                        rows=rows.labelled.key,
                        failed=run.failures.of_methods(combo, unit.set),
                    )
                )
    return found


def _fit(
    run: Run,
    combo: Combo,
    learned: Learned,
    all_scored: Scored,
    given: Sequence[GivenMethod],
    probe: GivenProbe | None,
) -> Fitted:
    """What is fitted for a combo: on the training set, or temperatures alone where only those are wanted."""
    units = [Unit(name, combo.style) for name in LEARNED_FROM]
    known = [unit for unit in units if unit in learned.labelled and unit in learned.features]
    calibration = _rows(learned, all_scored, known[0]) if known else None
    training = calibration if known and known[0].set == run.training.name else None
    methods = all_methods(run, combo, given, known[0].set if known else "", probe)
    config = run.config
    with_platt = config.scaling == "platt"
    fitted = fit(combo, methods, calibration, training, config.probe, config.seed, run.out, with_platt=with_platt)
    run.keep(fitted.output)
    return fitted


def _rows(learned: Learned, all_scored: Scored, unit: Unit) -> SetRows:
    return SetRows(labelled=learned.labelled[unit], features=learned.features[unit], scored=of_unit(all_scored, unit))
