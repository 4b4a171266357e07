"""What a job has taken, noted while it runs and added up over its attempts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from raycalib.errors import StorageError
from raycalib.stages.output import finished
from raycalib.stages.tuned.spent import SPENT, Spending, Spent, read_spent
from raycalib.stages.workers import tuning
from raycalib.storage import Location
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.world import World
from tests.stages.test_tune import TinyLlama, job_of, rows_and_model


def test_attempts_add_up_as_far_as_they_were_noted(tmp_path: Path) -> None:
    place, now = Location(str(tmp_path)), iter([100.0, 100.0, 110.0, 500.0, 500.0, 503.0])
    assert read_spent(place) is None
    first = Spending(place, World(size=2), lambda: next(now))
    first.write()  # at 110, and then its process ends
    threads = torch.get_num_threads()
    assert read_spent(place) == Spent(seconds=10.0, gpus=0, processors=2 * threads)
    second = Spending(place, World(), lambda: next(now))
    assert read_spent(place) == Spent(seconds=10.0, gpus=0, processors=threads)
    second.write()
    assert read_spent(place) == Spent(seconds=13.0, gpus=0, processors=threads)


def test_gpus_are_those_of_all_workers_and_the_first_one_alone_writes(tmp_path: Path) -> None:
    cuda = torch.device("cuda")
    Spending(Location(str(tmp_path)), World(rank=1, size=4, device=cuda)).write()
    assert not (tmp_path / SPENT).exists()
    Spending(Location(str(tmp_path)), World(size=4, device=cuda))
    assert json.loads((tmp_path / SPENT).read_text())["gpus"] == 4


def test_a_store_that_does_not_answer_keeps_nobody_from_tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: Any) -> None:
        raise StorageError("no answer")

    monkeypatch.setattr(Location, "write_json", fails)
    Spending(Location(str(tmp_path)), World()).write()


def test_a_tuned_job_has_its_seconds_and_is_not_another_for_them(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    job = job_of(tmp_path, rows, TuningSettings(steps=2, eval_every=1, global_batch_size=2, max_tokens=200, lr=1e-3))
    noted = []

    def observe(figures: object) -> None:
        found = read_spent(job.place)
        noted.append(0.0 if found is None else found.seconds)

    tuning.tune(job, World(), checkpoint_now=lambda: False, observe=observe)
    last = read_spent(job.place)
    assert last is not None
    assert 0 < noted[0] <= noted[1] <= last.seconds
    output = finished(job.place, job.key)
    assert output is not None
    assert SPENT not in output.manifest.sizes
    (job.place / SPENT).remove()
    assert finished(job.place, job.key) is not None
