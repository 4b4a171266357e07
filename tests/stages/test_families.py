"""Jobs that differ in their length alone: one trial tunes them in turn, and each stands for itself."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import finished
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned import tuning_run, watched
from raycalib.stages.tuned.families import families, family_of, first_of_families
from raycalib.stages.tuned.room_for_jobs import share_out
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.stages.tuned.watched import DEATHS_IN_VAIN, WatchedTrials
from raycalib.stages.workers import train_loop, trial, tuning
from raycalib.storage import Location
from raycalib.tuning.checkpoint import complete_checkpoints
from raycalib.tuning.engines import TorchEngine
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_trial import files
from tests.stages.test_tune import job_of, row, rows_and_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
Rows = list[dict[str, Any]]
WSD = TuningSettings(
    steps=5,
    global_batch_size=2,
    max_tokens=200,
    log_every=1,
    lr=1e-3,
    schedule="wsd",
    decay_share=0.4,
    eval_every=2,
    checkpoint_every=100,
)
BRANCHES = {5: 3, 7: 4, 9: 5}


def jobs_of(place: Path, rows: Rows, lengths: Sequence[int] = (9, 5, 7), **changes: Any) -> list[TuneJob]:
    return [job_of(place, rows, replace(WSD, steps=steps, **changes)) for steps in lengths]


def lengths_of(jobs: Sequence[TuneJob]) -> list[int]:
    return [job.settings.steps for job in jobs]


def alone(job: TuneJob, place: Path) -> dict[str, bytes]:
    """What tuning the job alone leaves, without a trunk."""
    calm = replace(job, place=Location(str(place / "calm" / job.key)), reference=Location(str(place)), trunk=None)
    train_loop.train_loop({"jobs": [calm], "use_gpu": False, "run": "r"})
    return files(calm)


@pytest.fixture
def rows(tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch) -> Rows:
    return rows_and_model(tmp_path, tiny_llama, monkeypatch)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What trials report, without a Tune to report to."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(trial.ray_tune, "report", found.append)
    monkeypatch.setattr(trial, "node_is_going", lambda: False)
    return found


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of each step that the engine really does."""
    rates: list[float] = []
    step = TorchEngine.step

    def counted(engine: TorchEngine, micro_batches: Any, n_rows: int, lr: float) -> Any:
        rates.append(lr)
        return step(engine, micro_batches, n_rows, lr)

    monkeypatch.setattr(TorchEngine, "step", counted)
    return rates


def test_jobs_that_differ_in_their_length_alone_are_a_family(tmp_path: Path) -> None:
    given = [row("train"), row("val_select")]
    some, others = jobs_of(tmp_path, given), jobs_of(tmp_path, given, lr=2e-3)
    assert some[0].trunk is not None
    cosine = [job_of(tmp_path, given, TuningSettings(steps=steps)) for steps in (3, 2)]
    mixed = [cosine[0], some[0], others[0], some[1], others[1], cosine[1], some[2], others[2]]
    assert [lengths_of(family) for family in families(mixed)] == [[3], [2], [5, 7, 9], [5, 7, 9]], (
        "of 16 rows a step, and of two"
    )
    assert first_of_families(mixed) == [0, 5, 1, 2]
    assert [family_of(mixed, place) for place in (0, 5, 1, 2)] == families(mixed)
    assert lengths_of(family_of(mixed, 6)) == [5, 7, 9]
    shorter_decay = jobs_of(tmp_path, given, (8,), decay_share=0.2)
    assert lengths_of(families([*some, *shorter_decay])[0]) == [5, 7, 9, 8], "it stays on the trunk longest, to step 6"


def test_the_longest_are_begun_first_and_those_of_a_model_stay_together(tmp_path: Path) -> None:
    given = [row("train"), row("val_select")]
    a, b = (
        [
            job_of(tmp_path, given, TuningSettings(steps=steps, global_batch_size=batch, lr=lr))
            for steps, batch in ((10, 4), (50, 4), (30, 8), (50, 4))
        ]
        for lr in (1e-4, 2e-4)
    )
    assert first_of_families([*a, *b]) == [2, 6, 1, 5, 0, 4]


def test_what_decides_the_trunk_is_in_its_name_and_a_cosine_has_none(tmp_path: Path) -> None:
    given = [row("train"), row("val_select")]
    changes: list[Mapping[str, Any]] = [
        {}, {"lr": 2e-3}, {"eval_every": 3}, {"warmup_steps": 1}, {"train_rows": 1}, {"method": "lora"}
    ]  # fmt: skip
    found = [jobs_of(tmp_path, given, (5,), **each)[0].trunk for each in changes]
    assert len({trunk.key for trunk in found if trunk}) == len({trunk.place.uri for trunk in found if trunk}) == 6
    assert job_of(tmp_path, given, TuningSettings()).trunk is None


def test_the_key_of_a_cosine_is_as_it_was_and_that_of_wsd_has_its_decay(tmp_path: Path) -> None:
    given = [row("train"), row("val_select")]
    cosines = [job_of(tmp_path, given, TuningSettings(decay_share=share)) for share in (0.2, 0.5)]
    assert cosines[0].key == cosines[1].key
    assert not {"schedule", "decay_share"} & set(cosines[0].identity["settings"])
    some = [job_of(tmp_path, given, TuningSettings(schedule="wsd", decay_share=share)) for share in (0.2, 0.5)]
    assert len({cosines[0].key, *(job.key for job in some)}) == 3


def test_a_trial_tunes_a_family_and_leaves_of_each_what_tuning_alone_leaves(
    tmp_path: Path,
    rows: Rows,
    told: list[dict[str, Any]],
    computed: list[float],
) -> None:
    jobs = jobs_of(tmp_path, rows)
    trial.tune_trial({"job": 0}, jobs=jobs, use_gpu=False, run="r")
    assert len(computed) == 5 + (7 - 3) + (9 - 4)
    assert [report["step"] for report in told] == [2, 4, 5, 4, 6, 7, 6, 8, 9]
    for job in jobs:
        assert files(job) == alone(job, tmp_path)
        assert job.place.read_json(tuning.TRAINING)["history"][0]["step"] == 2
    assert len(computed) == 14 + 5 + 7 + 9


def test_a_longer_value_of_a_later_sweep_branches_off(
    tmp_path: Path,
    rows: Rows,
    told: list[dict[str, Any]],
    computed: list[float],
) -> None:
    (short,) = jobs_of(tmp_path, rows, (5,))
    trial.tune_trial({"job": 0}, jobs=[short], use_gpu=False, run="r")
    (longer,) = jobs_of(tmp_path, rows, (9,))
    trial.tune_trial({"job": 0}, jobs=[longer], use_gpu=False, run="s")
    assert len(computed) == 5 + (9 - 3)
    assert files(longer) == alone(longer, tmp_path)


@pytest.mark.parametrize(("ends_before", "again"), [(2, 2), (6, 0), (8, 2), (12, 2)])
def test_a_process_that_ends_in_the_middle_of_a_family_is_taken_up_there(
    tmp_path: Path,
    rows: Rows,
    told: list[dict[str, Any]],
    computed: list[float],
    monkeypatch: pytest.MonkeyPatch,
    ends_before: int,
    again: int,
) -> None:
    """In the first's trunk, where the second leaves its own, and two steps into the decays of the second and third."""
    jobs, step = jobs_of(tmp_path, rows), TorchEngine.step

    def ends(engine: TorchEngine, *given: Any) -> Any:
        if len(computed) == ends_before:
            raise RuntimeError("connection reset by peer")
        return step(engine, *given)

    with monkeypatch.context() as patched:
        patched.setattr(TorchEngine, "step", ends)
        with pytest.raises(RuntimeError, match="reset"):
            trial.tune_trial({"job": 0}, jobs=jobs, use_gpu=False, run="r")
    trial.tune_trial({"job": 0}, jobs=jobs, use_gpu=False, run="r")
    assert len(computed) == 14 + again
    for job in jobs:
        assert files(job) == alone(job, tmp_path)


def test_one_that_cannot_be_tuned_does_not_keep_the_longer_ones_from_it(
    tmp_path: Path,
    rows: Rows,
    told: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs, tried = jobs_of(tmp_path, rows), []

    def fails_at_first(job: TuneJob, *given: Any, **hooks: Any) -> None:
        tried.append(job.settings.steps)
        if len(tried) == 1:
            raise ModelError("no layer of attention")
        tuning.tune(job, *given, **hooks)

    monkeypatch.setattr(trial, "tune", fails_at_first)
    trial.tune_trial({"job": 0}, jobs=jobs, use_gpu=False, run="r")
    assert tried == [5, 7, 9]
    assert [finished(job.place, job.key) is not None for job in jobs] == [True, False, True]
    assert [report for report in told if trial.FAILED in report] == [{trial.FAILED: jobs[1].key}]
    trial.tune_trial({"job": 0}, jobs=jobs, use_gpu=False, run="r")
    assert tried == [5, 7, 9], "all are settled"


def test_the_end_of_a_process_is_that_of_the_job_it_was_at(
    tmp_path: Path,
    rows: Rows,
    told: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs, said = jobs_of(tmp_path, rows), list[str]()
    monkeypatch.setattr(watched, "say", said.append)
    callback = WatchedTrials([replace(job, cell=f"steps={job.settings.steps}") for job in jobs], "r", None)
    died = SimpleNamespace(
        config={"job": 0}, trial_id="0", get_pickled_error=lambda: None, get_error=lambda: RuntimeError("died")
    )
    for _ in range(DEATHS_IN_VAIN + 1):
        callback.on_trial_recover(iteration=1, trials=[], trial=died)
    assert said == [
        *["  tune tiny oe steps=5: its process ended (died); it begins again"] * (DEATHS_IN_VAIN - 1),
        "  tune tiny oe steps=7: its process ended (died); it begins again",
    ]
    assert [job.place.exists(tuning.FAILURE) for job in jobs] == [False, True, False]
    callback.on_trial_error(iteration=2, trials=[], trial=died)
    assert said[DEATHS_IN_VAIN:] == [f"  tune tiny oe steps={steps}: failed: died" for steps in (7, 9)]
    callback.most_failed = 2
    with pytest.raises(Exception, match="3 trials have failed, more than 2"):
        callback.on_step_begin(iteration=3, trials=[])


@pytest.mark.parametrize(("n_families", "expected"), [(2, (4, 1)), (4, (1, 4))])
def test_a_family_counts_as_one_where_a_cluster_is_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_families: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(Cluster, "trainers_that_fit", lambda self: 4)
    monkeypatch.setattr("raycalib.stages.cluster.lack_of_trainers", lambda *needs: "")
    cluster = Cluster(RaySettings(gpus_per_worker=1))
    cluster._started_here = True
    found = [
        job
        for lr in range(1, n_families + 1)
        for job in jobs_of(tmp_path, [row("train")], lr=lr / 1000, global_batch_size=16)
    ]
    assert share_out(found, cluster) == expected


def test_several_workers_tune_a_family_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[int]] = []
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(tuning_run, "own_groups_removed", nullcontext)
    monkeypatch.setattr(tuning_run, "share_out", lambda jobs, cluster: (2, 1))
    monkeypatch.setattr(tuning_run, "run_train", lambda jobs, *others: given.append(lengths_of(jobs)))
    jobs = jobs_of(tmp_path, [row("train"), row("val_select")])
    run_tuning(jobs, Location(str(tmp_path / "out")), Cluster(RaySettings()))
    assert given == [[5, 7, 9]]


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_families_are_trials_of_tune_and_their_jobs_results_of_their_own(
    tmp_path: Path,
    rows: Rows,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
) -> None:
    some, others = jobs_of(tmp_path, rows), jobs_of(tmp_path, rows, lr=2e-3)
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=True)
    try:
        cluster = Cluster(RaySettings(train_workers=1))
        result = run_tuning([*some, *others], Location(str(tmp_path / "out")), cluster)
    finally:
        ray.shutdown()
    assert not result.failed
    assert set(result.tuned) == {job.key for job in (*some, *others)}
    said = capfd.readouterr().out
    for steps in (3, 4):
        assert said.count(f"its first {steps} steps are those of a run of another length") == 2
    for job in (*some, *others):
        assert files(job) == alone(job, tmp_path)
    assert some[0].trunk is not None
    assert [step for step, _ in complete_checkpoints(some[0].trunk.place)] == [3, 4, 5]
