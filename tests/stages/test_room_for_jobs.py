"""How jobs share a cluster."""

from pathlib import Path

import pytest

from raycalib.errors import ConfigError
from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import MOST_BY_ITSELF, RaySettings
from raycalib.stages.tuned.room_for_jobs import share_out
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_tune import job_of, row


@pytest.mark.parametrize(
    ("settings", "n_slots", "n_jobs", "expected"),
    [
        ({"gpus_per_worker": 1}, 8, 12, (1, 8)),  # a GPU each
        ({"gpus_per_worker": 1}, 8, 8, (1, 8)),
        ({"gpus_per_worker": 1}, 8, 7, (8, 1)),  # fewer than GPUs: one after the other, by all of them
        ({"gpus_per_worker": 1}, 8, 3, (8, 1)),
        ({"gpus_per_worker": 1}, 8, 1, (8, 1)),
        ({"gpus_per_worker": 1}, 32, 1, (16, 1)),  # no more than a step has rows
        ({"gpus_per_worker": 1, "train_workers": 2}, 8, 12, (2, 4)),  # four groups of two
        ({"gpus_per_worker": 1, "train_workers": 2}, 8, 3, (2, 3)),
        ({"gpus_per_worker": 1, "train_workers": 5}, 8, 3, (5, 1)),
        ({"train_workers": 2}, 4, 3, (2, 2)),
        ({"gpus_per_worker": 1, "train_workers": 1}, 8, 3, (1, 3)),
        ({}, 2, 12, (1, 2)),  # of CPUs
        ({}, 64, 3, (1, 3)),
        ({}, 64, 1, (1, 1)),
    ],
)
def test_many_jobs_have_a_worker_each_and_few_have_all_in_turn(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, int],
    n_slots: int,
    n_jobs: int,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(Cluster, "trainers_that_fit", lambda self: n_slots)
    monkeypatch.setattr("raycalib.stages.cluster.lack_of_trainers", lambda *needs: "")
    jobs = [job_of(tmp_path, [row("train")], TuningSettings(lr=lr / 1000)) for lr in range(1, n_jobs + 1)]
    cluster = Cluster(RaySettings(**settings))
    cluster._started_here = True
    assert share_out(jobs, cluster) == expected


def test_a_cluster_that_may_grow_is_not_bounded_by_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(Cluster, "trainers_that_fit", lambda self: 0)
    monkeypatch.setattr("raycalib.stages.cluster.lack_of_trainers", lambda *needs: "")
    jobs = [job_of(tmp_path, [row("train")], TuningSettings(lr=lr / 1000)) for lr in range(1, 81)]
    assert share_out(jobs, Cluster(RaySettings(gpus_per_worker=1))) == (1, MOST_BY_ITSELF)
    assert share_out(jobs, Cluster(RaySettings(gpus_per_worker=1, max_workers=8))) == (1, 8)


def test_a_zero_stage_takes_all_workers_for_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(Cluster, "trainers_that_fit", lambda self: 4)
    monkeypatch.setattr("raycalib.stages.cluster.lack_of_trainers", lambda *needs: "")
    jobs = [job_of(tmp_path, [row("train")], TuningSettings(zero_stage=3, lr=lr)) for lr in (1e-4, 2e-4)]
    assert share_out(jobs, Cluster(RaySettings(gpus_per_worker=1))) == (4, 1)
    with pytest.raises(ConfigError, match="with one worker, which has no other to split with"):
        share_out(jobs, Cluster(RaySettings(gpus_per_worker=1, train_workers=1)))
