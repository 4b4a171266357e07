"""What is read back of a stage's shards at its end, in which nearly all is hidden states."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from raycalib.records import FEATURES, LABELLED, Row
from raycalib.stages.output import StageOutput
from raycalib.stages.pools.close_rows import CloseRow
from raycalib.stages.pools.parked import with_figures
from raycalib.stages.pools.read_back import ReadBack, read_back
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.select import select_splits
from raycalib.storage import Location, Manifest, find_shards, write_shard
from tests.jobs.s3_server import BUCKET, s3_server
from tests.stages.combos import labelled_row

WIDTH, N_ROWS, N_SHARDS = 4096, 64, 3


def stage(schema: Any, **more: Any) -> ShardStage:
    return ShardStage(
        name="s", variant="v", worker=object, config=None, identity={}, schema=schema, needs_model=False, **more
    )


def feature_rows(shard: int) -> list[Row]:
    draw = np.random.default_rng(shard)
    return [
        labelled_row(number, "train" if shard else "test", 1, feature=draw.random(WIDTH, dtype=np.float32).tolist())
        | {"n_query_cut": number % 4, "error": "late" if number == 9 else None, "min_margin": 1e-5 * (number + 5)}
        for number in range(N_ROWS)
    ]


def features(place: Location) -> StageOutput:
    names = [write_shard(place, shard, kept(feature_rows(shard), FEATURES), FEATURES) for shard in range(N_SHARDS)]
    manifest = Manifest(stage="s", key="k", config={}, shards=tuple(names))
    return StageOutput(place=place, manifest=manifest, was_done=False)


def kept(rows: list[Row], schema: Any) -> list[Row]:
    return [{name: row[name] for name in schema.names} for row in rows]


@contextmanager
def bytes_from(server: Any, patched: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Lengths of what is read of objects, as s3fs hands them over."""
    from s3fs import S3FileSystem

    moved, plain = list[int](), S3FileSystem._cat_file

    async def counted(*arguments: Any, **named: Any) -> bytes:
        content = await plain(*arguments, **named)
        moved.append(len(content))
        return content

    with patched.context() as here:
        here.setattr(S3FileSystem, "_cat_file", counted)
        S3FileSystem.clear_instance_cache()  # one that is there keeps the method that it has
        yield moved


@contextmanager
def own_files() -> Iterator[None]:
    """Has fsspec forget the server of other tests, and then this one."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        S3FileSystem.clear_instance_cache()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_counts_and_splits_on_s3_leave_the_hidden_states_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(tmp_path / "log") as server, own_files():
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        output = features(Location(f"s3://{BUCKET}/run/features"))
        n_stored = sum(output.place.sizes().values())
        assert n_stored > N_SHARDS * N_ROWS * WIDTH * 3
        counted = stage(FEATURES, cut_column="n_query_cut", margin_column="min_margin")
        with bytes_from(server, monkeypatch) as moved:
            found = read_back(counted, output.place, [name for _, name in sorted(find_shards(output.place).items())])
        assert sum(moved) < n_stored / 8
        assert N_SHARDS <= len(moved) <= 3 * N_SHARDS
        assert (found.rows, found.errors, found.cut) == (192, 3, 144)
        assert len(found.close) == 3 * 5
        with bytes_from(server, monkeypatch) as moved:
            selected = select_splits(output, ["train"])
        assert N_SHARDS <= len(moved) <= 3 * N_SHARDS
        assert sum(moved) < n_stored / 8
        assert selected.shards == output.shards[1:]
        assert selected.manifest.counts == {"out": 128}


def test_rows_are_counted_by_what_their_columns_say() -> None:
    place = Location(f"memory://{uuid4().hex}")
    rows = [labelled_row(n, "test", n % 2 if n > 3 else None) for n in range(10)]
    rows[0] |= {"error": "late"}
    rows[1] |= {"error": ""}
    names = [write_shard(place, n, kept(part, LABELLED), LABELLED) for n, part in enumerate((rows[:6], [], rows[6:]))]
    assert read_back(stage(LABELLED), place, names) == ReadBack(rows=10, errors=1, unscored=4)


def test_close_rows_and_figures_come_of_the_same_reading() -> None:
    place = Location(f"memory://{uuid4().hex}")
    rows = [labelled_row(n, "test", 1) | {"min_margin": margin} for n, margin in enumerate((0.5, 9e-5, None, 0.0))]
    names = [
        write_shard(place, n, kept(part, LABELLED), with_figures(LABELLED, {"requests": n + 1, "tokens": 0.5}))
        for n, part in enumerate((rows[:2], rows[2:]))
    ]
    found = read_back(stage(LABELLED, margin_column="min_margin", keeps_figures=True), place, names)
    assert found.close == [CloseRow("r1", 9e-5), CloseRow("r3", 0.0)]
    assert found.figures == {"requests": 3, "tokens": 1.0}
    assert read_back(stage(LABELLED), place, names).figures == {}
