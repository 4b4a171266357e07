"""A probe with settings of its own, fitted on stored features: a trial of a sweep that touches no language model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raycalib.evaluation.methods import PROBE
from raycalib.stages.boards.event_files import EventFiles
from raycalib.stages.boards.hparams import begin_hparams, end_hparams
from raycalib.stages.boards.hyperparameters import Hyperparameters, probe_hyperparameters
from raycalib.stages.boards.trackers.tracked import TrackedTrial
from raycalib.stages.combo import Combo, GivenProbe
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.stages.predictions.evidence import EvidenceSource
from raycalib.stages.predictions.probe_rows import CHOSEN_BY, FITTED_ON, PROBE_COLUMNS, ProbeRows, ProbeSets
from raycalib.stages.tuned.spent import Spending
from raycalib.stages.tuned.trial_files import TRAINING, VALIDATION, write_validation
from raycalib.storage import Location, Manifest, write_manifest
from raycalib.tuning.probe_files import PROBE_RECORD, PROBE_TENSORS, save_probe
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.selection_figures import SelectionFigures, selection_figures
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.world import World

VERSION = 1
"""Goes up where another probe comes out of the same labels, features and settings."""


@dataclass(frozen=True, kw_only=True)
class ProbeJob:
    """A probe to fit, and where it goes.

    Attributes:
        style: of the combo's rows.
        settings: of the fit.
        train_rows: at most so many; 0 is all.
        seed: of weights and order.
        labelled, features: of the training set.
        place: where it lies.
        key: names its inputs.
        identity: what decides what comes of it, plain values.
    """

    style: str
    settings: ProbeSettings
    train_rows: int
    seed: int
    labelled: StageOutput
    features: StageOutput
    place: Location
    key: str
    identity: Mapping[str, Any]

    @property
    def given(self) -> GivenProbe:
        """The fitted probe, as evaluation takes one."""
        return GivenProbe(place=self.place, file=PROBE_TENSORS, fingerprint=self.key)


def probe_job(
    combo: Combo,
    labelled: StageOutput,
    features: StageOutput,
    settings: ProbeSettings,
    train_rows: int,
    seed: int,
    out: Location,
) -> ProbeJob:
    """The job of one combo, with its place and key."""
    identity: dict[str, Any] = {
        "version": VERSION,
        "model": combo.model.name,
        "style": combo.style,
        "method": PROBE,
        "settings": asdict(settings),
        "seed": seed,
    } | ({"train_rows": train_rows} if train_rows else {})
    key = stage_key("probe", identity, [labelled.key, features.key])
    return ProbeJob(
        style=combo.style,
        settings=settings,
        train_rows=train_rows,
        seed=seed,
        labelled=labelled,
        features=features,
        place=stage_place(out, "tuned", f"{combo.slug}-{PROBE}", key),
        key=key,
        identity=identity,
    )


def fit_probe_job(job: ProbeJob) -> StageOutput:
    """Fits the probe unless it is there, and leaves what a tuned trial leaves: its step, history and log-odds.

    Raises:
        DataError: labels of one class alone, or none; features that are not finite.
        LossNotFiniteError: the loss became NaN or infinite, with the step.
    """
    if done := finished(job.place, job.key):
        return done
    spending = Spending(job.place, World())
    train, val = _rows(job)
    fit = fit_probe(train.features, train.labels, val.features, val.labels, job.settings, job.seed)
    save_probe(job.place, fit)
    history = [{"step": step, "val_nll": nll} for step, nll in fit.history]
    job.place.write_json(TRAINING, {"best_step": fit.best_step, "best_nll": fit.best_nll, "history": history})
    margins = fit.probe.margin(val.features)
    write_validation(job.place, val.row_ids.to_pylist(), val.labels.tolist(), margins)
    _show(job, fit.best_step, selection_figures(margins, val.labels))
    spending.write()
    manifest = Manifest(
        stage="tuned",
        key=job.key,
        config=dict(job.identity),
        inputs=(job.labelled.key, job.features.key),
        counts={"train": len(train.labels), "val_select": len(val.labels)},
    )
    write_manifest(job.place, manifest, besides=(PROBE_TENSORS, PROBE_RECORD, TRAINING, VALIDATION))
    output = finished(job.place, job.key)
    assert output is not None, "it was just written"
    return StageOutput(place=job.place, manifest=output.manifest, was_done=False)


def _rows(job: ProbeJob) -> tuple[ProbeRows, ProbeRows]:
    """What it is fitted on, and what it is chosen by."""
    sets = ProbeSets()
    source = EvidenceSource(
        labelled=job.labelled,
        features=job.features,
        style=job.style,
        columns=PROBE_COLUMNS,
        splits=(FITTED_ON, CHOSEN_BY),
    )
    for block in source.blocks(with_features=True):
        sets.add(block)
    return sets.rows(job.train_rows)


def tracked_probe(job: ProbeJob, title: str) -> TrackedTrial:
    """The trial that fits the probe."""
    return TrackedTrial(key=job.key, title=title, place=job.place, hyperparameters=_hyperparameters(job))


def _hyperparameters(job: ProbeJob) -> Hyperparameters:
    return probe_hyperparameters(job.identity["model"], job.style, job.settings, job.train_rows, job.seed)


def _show(job: ProbeJob, best_step: int, figures: SelectionFigures) -> None:
    """Shows the probe in TensorBoard, beside what is tuned through the model."""
    values = _hyperparameters(job)
    events = EventFiles(job.place)
    begin_hparams(events.writer, values)
    best = {f"val_{name}": value for name, value in figures._asdict().items()}
    end_hparams(events.writer, values, [{"step": best_step} | best], best_step)
    events.close()
