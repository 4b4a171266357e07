"""A tuning run's figures as lines, and in event files as TensorBoard reads them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
import struct
from types import SimpleNamespace

import fsspec
import pytest
from tensorboardX.proto.event_pb2 import Event

from raycalib.stages.workers import tuning_log
from raycalib.stages.workers.tuning_log import TuningLog
from raycalib.storage import Location
from raycalib.tuning.figures import StepFigures, TuningProgress

STEP = StepFigures(
    step=10,
    steps=50,
    loss=1.5,
    query_loss=0.5,
    divergence=1.0,
    lr=1e-4,
    grad_norm=2.0,
    rows=160,
    tokens=20_000.0,
    tokens_per_s=1234.5,
    memory_gib=3.25,
)
EVALUATION = TuningProgress(
    step=10, steps=50, query_loss=0.5, divergence=1.0, val_nll=0.6, val_auroc=float("nan"), val_ece=0.1
)


def events(content: bytes) -> Iterator[Event]:
    """From records of a length, its checksum, the event and its checksum."""
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def scalars(content: bytes) -> dict[tuple[str, int], float]:
    """By tag and step."""
    return {(value.tag, event.step): value.simple_value for event in events(content) for value in event.summary.value}


def test_the_line_that_goes_on_and_the_one_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list[str]()
    clock = iter([0.0, 100.0, 100.5, 110.0, 130.0])  # made, three steps, the end
    monkeypatch.setattr(tuning_log, "show", lambda line, key: lines.append(line))
    monkeypatch.setattr(tuning_log, "end", lambda line, key: lines.append(line))
    monkeypatch.setattr(tuning_log, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    log = TuningLog(Location(str(tmp_path)), "llama2:7b oe")
    log.observe_step(STEP)
    log.observe_step(STEP)  # within the same second: nothing is shown
    log.observe(EVALUATION)
    log.observe_step(replace(STEP, step=30))
    log.end(50, 40, 0.5)
    log.close()
    assert lines == [
        "  tune llama2:7b oe: step 10/50 · loss 1.500 · lr 0.0001 · gradient 2 · 1,234 tokens/s · 3.2 GiB",
        # Twenty steps took ten seconds; as many are left.
        "  tune llama2:7b oe: step 30/50 · loss 1.500 · val NLL 0.600 · val AUROC nan · lr 0.0001 · gradient 2 · "
        "1,234 tokens/s · 3.2 GiB · about 10 s left",
        "  tune llama2:7b oe: 50 steps · best val NLL 0.500 at step 40 · 130 s",
    ]


def test_event_files(tmp_path: Path) -> None:
    log = TuningLog(Location(str(tmp_path)), "llama2:7b oe")
    log.observe_step(STEP)
    log.observe(EVALUATION)
    log.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    found = scalars(file.read_bytes())
    expected = {"loss": 1.5, "query_loss": 0.5, "divergence": 1, "lr": 1e-4, "grad_norm": 2, "tokens_per_s": 1234.5}
    for name, value in (expected | {"memory_gib": 3.25}).items():
        assert found["train/" + name, 10] == pytest.approx(value)
    assert found["val_select/nll", 10] == pytest.approx(0.6)
    assert found["val_select/ece", 10] == pytest.approx(0.1)
    assert {tag for tag, _ in found}.isdisjoint({"train/rows", "train/tokens", "train/steps"})
    assert ("val_select/auroc", 10) not in found  # one class: undefined, and not a point at 0


def test_on_an_object_store_they_are_copied_at_each_evaluation(tmp_path: Path) -> None:
    place = Location("memory://tuning-log")
    log = TuningLog(place, "t")
    log.observe_step(STEP)
    log.observe(EVALUATION)
    (name,) = (place / "tensorboard").names()
    assert scalars((place / "tensorboard").read_bytes(name))["train/loss", 10] == 1.5
    log.close()
    fsspec.filesystem("memory").rm("/tuning-log", recursive=True)


def test_a_worker_that_logs_nothing_writes_nothing(tmp_path: Path) -> None:
    TuningLog(Location(str(tmp_path)), "t").close()
    assert not list(tmp_path.iterdir())
