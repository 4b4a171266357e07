"""A probe as a trial of a sweep: the run's own where its settings are, fewer rows where asked, and nothing twice."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from raycalib.errors import DataError
from raycalib.records import Row
from raycalib.stages.combo import SetRows
from raycalib.stages.output import finished
from raycalib.stages.predictions.fit import fit
from raycalib.stages.predictions.probe_trial import ProbeJob, fit_probe_job, probe_job
from raycalib.stages.tuned.trial_files import TRAINING, read_validation
from raycalib.storage import Location
from raycalib.tuning.probe_files import load_probe
from raycalib.tuning.row_chunks import drawing_order
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import fit_temperature
from tests.stages.combos import COMBO, Method, labelled_row, set_rows
from tests.stages.workers.test_tuning_log import scalars

PROBE = ProbeSettings(steps=12, batch_size=8, eval_every=4)
N_TRAIN, N_VAL = 60, 30


def rows() -> list[Row]:
    """Features whose first number says the label, with noise."""
    draw = np.random.default_rng(3)
    found = []
    for number in range(N_TRAIN + N_VAL):
        label = number % 2
        feature = [float(label + draw.normal()), float(draw.normal())]
        split = "train" if number < N_TRAIN else "val_select"
        found.append(labelled_row(number, split, label if number else None, feature=feature))
    return found


@pytest.fixture
def training(tmp_path: Path) -> SetRows:
    return set_rows(Location(str(tmp_path)), "training", rows())


def job_of(training: SetRows, out: Path, train_rows: int = 0, seed: int = 1) -> ProbeJob:
    return probe_job(COMBO, training.labelled, training.features, PROBE, train_rows, seed, Location(str(out)))


def test_of_all_rows_it_is_the_probe_that_a_run_fits(training: SetRows, tmp_path: Path) -> None:
    job = job_of(training, tmp_path)
    fit_probe_job(job)
    of_run = fit(COMBO, [Method(name="probe")], None, training, PROBE, 1, Location(str(tmp_path)))
    assert of_run.training.probe is not None
    features = np.array([row["feature"] for row in rows()], dtype=np.float32)
    ours = load_probe(job.given.place, job.given.file)
    np.testing.assert_array_equal(ours.margin(features), of_run.training.probe.margin(features))

    ids, labels, margins = read_validation(job.place)
    val = [row for row in rows() if row["split"] == "val_select"]
    assert ids == [row["row_id"] for row in val]
    assert labels.tolist() == [row["query_label"] for row in val]
    np.testing.assert_array_equal(margins, ours.margin(np.array([row["feature"] for row in val], dtype=np.float32)))
    best = job.place.read_json(TRAINING)
    assert best["best_nll"] == pytest.approx(np.logaddexp(0, np.where(labels == 1, -margins, margins)).mean())
    assert [record["step"] for record in best["history"]] == [4, 8, 12]
    (file,) = (job.place / "tensorboard").local_path.iterdir()
    shown = scalars(file.read_bytes())
    assert shown["best/nll", best["best_step"]] == pytest.approx(fit_temperature(margins.copy(), labels).nll_after)
    assert shown["best/auroc", best["best_step"]] == pytest.approx(roc_auc_score(labels, margins))


def test_it_is_fitted_once(training: SetRows, tmp_path: Path) -> None:
    job = job_of(training, tmp_path)
    assert not fit_probe_job(job).was_done
    assert fit_probe_job(job).was_done


def test_of_fewer_rows_it_knows_no_others(training: SetRows, tmp_path: Path) -> None:
    """The same comes out where the rows that are not drawn are not there."""
    few = job_of(training, tmp_path, train_rows=20)
    output = fit_probe_job(few)
    assert output.manifest.counts == {"train": 20, "val_select": N_VAL}
    with_label = [row for row in rows() if row["split"] == "train" and row["query_label"] is not None]
    drawn = set(drawing_order([row["row_id"] for row in with_label])[:20])
    kept = [row for place, row in enumerate(with_label) if place in drawn]
    kept += [row for row in rows() if row["split"] == "val_select"]
    alone = job_of(set_rows(Location(str(tmp_path / "alone")), "training", kept), tmp_path / "alone")
    fit_probe_job(alone)
    np.testing.assert_array_equal(read_validation(few.place)[2], read_validation(alone.place)[2])


def test_seeds_rows_and_labels_have_places_of_their_own(training: SetRows, tmp_path: Path) -> None:
    jobs = [job_of(training, tmp_path, *of) for of in ((0, 1), (20, 1), (0, 2))]
    assert len({job.place.uri for job in jobs}) == 3
    assert job_of(training, tmp_path).key == jobs[0].key


def test_rows_of_one_class_fit_nothing_and_leave_nothing(tmp_path: Path) -> None:
    one = [row | {"query_label": 1} for row in rows()]
    job = job_of(set_rows(Location(str(tmp_path)), "training", one), tmp_path)
    with pytest.raises(DataError, match="training labels with features"):
        fit_probe_job(job)
    assert finished(job.place, job.key) is None
