"""What a process says of a worker that cannot be built; no Ray here."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raycalib.errors import ModelError
from raycalib.records import Row
from raycalib.stages import shard_stage
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.shard_map import ShardMap
from raycalib.stages.shard_stage import ShardStage, run_shard_stage
from raycalib.storage import Location, Manifest, write_manifest, write_shard

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), ("error", pa.string())])


class Worker:
    """Fails to be built, or at a shard, with the error that it is configured with."""

    built = 0

    def __init__(self, config: tuple[str, Exception]) -> None:
        self.where, self.error = config
        Worker.built += 1
        if self.where == "build":
            raise self.error

    def process(self, rows: list[Row]) -> list[Row]:
        raise self.error


def source_in(folder: Path) -> StageOutput:
    place = Location(str(folder / "in"))
    names = tuple(write_shard(place, shard, [{"row_id": f"r{shard}", "error": None}], SCHEMA) for shard in range(3))
    manifest = Manifest(stage="in", key="k", config={}, shards=names, counts={"out": 3})
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def mapped(config: tuple[str, Exception], source: StageOutput, folder: Path) -> ShardMap:
    return ShardMap(Worker, config, source.place, Location(str(folder / "out")), SCHEMA, False)


def test_a_model_that_cannot_be_loaded_is_said_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = source_in(tmp_path)
    work = mapped(("build", ModelError("model: no layer 1")), source, tmp_path)
    Worker.built = 0
    for shard in range(2):
        status = work({"shard": [shard], "name": [source.shards[shard]]})
        assert status["unusable"] == ["model: no layer 1"]
        assert "model: no layer 1" in status["cause"][0]
    assert Worker.built == 1
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "config", [("build", ValueError("a setting")), ("process", ModelError("more options than letters"))]
)
def test_other_faults_are_a_shards_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: tuple[str, Exception]
) -> None:
    source = source_in(tmp_path)
    status = mapped(config, source, tmp_path)({"shard": [0], "name": [source.shards[0]]})
    assert status["unusable"] == [""]
    assert str(config[1]) in status["cause"][0]
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("is_model", [True, False])
def test_a_stage_ends_at_the_first_shard_whose_model_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_model: bool
) -> None:
    source, asked = source_in(tmp_path), []

    def statuses(stage: ShardStage, source: StageOutput, place: Location, missing: list[int], cluster: Any) -> Any:
        error = ModelError("model: no layer 1") if is_model else ValueError("a setting")
        work = mapped(("build", error), source, tmp_path)
        for index in missing:
            asked.append(index)
            status = work({"shard": [index], "name": [source.shards[index]]})
            yield {name: value[0] for name, value in status.items()}

    monkeypatch.setattr(shard_stage, "_statuses", statuses)
    stage = ShardStage(
        name="s", variant="v", worker=Worker, config=None, identity={}, schema=SCHEMA, needs_model=True
    )  # fmt: skip
    expected = ModelError if is_model else StageError
    with pytest.raises(expected, match=r"^model: no layer 1$" if is_model else r"3 of 3 shards failed"):
        run_shard_stage(stage, source, Location(str(tmp_path / "run")), cluster=None)  # type: ignore[arg-type]
    assert asked == ([0] if is_model else [0, 1, 2])
