"""Runs of Weights & Biases without a network and a key, read back from the files that ``wandb sync`` would send."""

from dataclasses import dataclass, field
import json
from pathlib import Path
import struct
import time
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2 as proto

from raycalib.stages.boards.trackers.tracked import TrackedTrial
from raycalib.stages.boards.trackers.wandb_runs import WandbRuns
from raycalib.storage import Location

pytestmark = pytest.mark.filterwarnings("default")
BLOCK, HEADER = 32_768, struct.Struct("<IHB")
WHOLE, LAST = 1, 4


@dataclass
class Read:
    """What is in a run's file."""

    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    exit_code: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            self.name, self.group, self.job_type = run.display_name, run.run_group, run.job_type
            self.project = run.project
            self.config |= {each.key: json.loads(each.value_json) for each in run.config.update}
        elif kind == "history":
            named = {(each.key or each.nested_key[0]): json.loads(each.value_json) for each in record.history.item}
            self.history.append({name: value for name, value in named.items() if not name.startswith("_")})
        elif kind == "summary":
            self.summary |= {each.key: json.loads(each.value_json) for each in record.summary.update if each.key}
        elif kind == "exit":
            self.exit_code = record.exit.exit_code


def read_run(file: Path) -> Read:
    """A header of seven bytes, then LevelDB's log: blocks of pieces, each behind its checksum, length and kind."""
    content, place, whole, read = file.read_bytes(), 7, b"", Read()
    while place + HEADER.size <= len(content):
        if BLOCK - place % BLOCK < HEADER.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        place += HEADER.size
        whole += content[place : place + length]
        place += length
        if kind in (WHOLE, LAST):
            read.take(proto.Record.FromString(whole))
            whole = b""
    return read


def read_whole(folder: Path, within_s: float = 30) -> list[Read]:
    """The runs that are kept for later, once the library's own process has written the last of them."""
    deadline = time.monotonic() + within_s
    while True:
        read = [read_run(file) for file in folder.glob("wandb/offline-run-*/*.wandb")]
        if all(run.name and run.exit_code is not None for run in read) or time.monotonic() >= deadline:
            return read
        time.sleep(0.2)


def runs_below(folder: Path) -> dict[str, Read]:
    """Of each run that is kept for later, by its name."""
    return {run.name: run for run in read_whole(folder)}


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    for name in ("WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path))
    return Location(str(tmp_path / "out" / "sweep"))


def trial_of(sweep: Location, key: str) -> TrackedTrial:
    values: dict[str, str | int | float] = {"combo": "llama2:7b/oe", "kl_decay": 0.5, "steps": 50, "lora_rank": "none"}
    return TrackedTrial(key=key, title=f"llama2:7b oe {key}", place=sweep / key, hyperparameters=values)


def test_runs_side_by_side_keep_what_their_trials_were_tuned_with_their_evaluations_and_states(
    sweep: Location, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = WandbRuns("my sweep", sweep)
    for key in ("a", "b", "c"):
        assert tracker.begin(trial_of(sweep, key)) == ()
    for step, nll in ((10, 0.7), (20, 0.6)):
        for key in ("a", "b", "c"):
            tracker.add(key, step, {"val_nll": nll, "val_auroc": step / 40})
    tracker.end("a", "finished", {"best/step": 20.0, "best/nll": 0.6})
    tracker.end("b", "failed", {})
    tracker.end("c", "stopped", {})
    tracker.close()
    assert capfd.readouterr() == ("", "")
    found = runs_below(sweep.local_path)
    assert set(found) == {"llama2:7b oe a", "llama2:7b oe b", "llama2:7b oe c"}
    run = found["llama2:7b oe a"]
    assert (run.project, run.group, run.job_type, run.exit_code) == ("raycalib", "my sweep", "tune", 0)
    wanted = {"combo": "llama2:7b/oe", "kl_decay": 0.5, "steps": 50, "lora_rank": "none"}
    assert {name: value for name, value in run.config.items() if name != "_wandb"} == wanted
    assert run.history == [
        {"step": 10, "val_nll": 0.7, "val_auroc": 0.25},
        {"step": 20, "val_nll": 0.6, "val_auroc": 0.5},
    ]
    assert {name: run.summary[name] for name in ("state", "best/step", "best/nll")} == {
        "state": "finished", "best/step": 20, "best/nll": 0.6,
    }  # fmt: skip
    others = [found[f"llama2:7b oe {key}"] for key in "bc"]
    assert [(other.summary["state"], other.exit_code) for other in others] == [("failed", 1), ("stopped", 1)]


def test_a_trial_has_the_same_run_in_a_later_command_and_another_sweeps_another(
    sweep: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    for place in (sweep, sweep, sweep / "other"):
        tracker = WandbRuns("g", place)
        tracker.begin(trial_of(sweep, "a"))
        tracker.add("a", 10, {"val_nll": 0.7})
        tracker.end("a", "finished", {})
    files = [file.name for file in tmp_path.glob("wandb/offline-run-*/*.wandb")]
    assert len(set(files)) == 2
    assert {run.project for run in read_whole(tmp_path)} == {"mine"}
