"""Trainers for which the cluster has no room any more: a node that does not come back is waited for with a bound."""

from pathlib import Path

import pytest
import ray

from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.train_run import START_WITHIN
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.storage import Location
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_tune import job_of, row

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]


def test_workers_that_find_no_room_are_named_after_a_while(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Train itself would try again for ever, without a word."""
    monkeypatch.setenv(START_WITHIN, "2")
    monkeypatch.setattr(Cluster, "trainers", lambda self, at_most, n_jobs: 3)  # there were, before a node went
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=False)
    cluster = Cluster(RaySettings(train_workers=3, wait_for_nodes_s=2))
    try:
        job = job_of(tmp_path, [row("train")])
        result = run_tuning([job], Location(str(tmp_path / "out")), cluster)
        assert not result.tuned
        assert "3 workers found no room on the cluster, waited 4 times 2 s (--ray" in result.failed[job.key]
    finally:
        ray.shutdown()


def test_trials_that_find_no_room_are_named_after_a_while(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune itself would wait for ever."""
    monkeypatch.setattr(Cluster, "trainers", lambda self, at_most, n_jobs: 1)  # a node went since
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=False)
    cluster = Cluster(RaySettings(cpus_per_worker=4, wait_for_nodes_s=3))
    try:
        jobs = [job_of(tmp_path, [row("train")], TuningSettings(lr=lr)) for lr in (1e-3, 1e-4)]
        result = run_tuning(jobs, Location(str(tmp_path / "out")), cluster)
        assert not result.tuned
        assert result.cut_off == {job.key for job in jobs}, "none has failed"
        for job in jobs:
            assert result.failed[job.key].startswith(
                "tuning failed: 2 trials found no room: each needs 4 CPU; the cluster has room for 0; waited 3 s (--ray"
            )
    finally:
        ray.shutdown()
