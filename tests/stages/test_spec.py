"""What a stage and a pool are called, and what may share a pool."""

from dataclasses import replace

import pyarrow as pa
import pytest

from raycalib.stages.pools.spec import ShardStage, check_one_pool, name_and_sets

STAGE = ShardStage(
    name="answers",
    variant="llama2-7b",
    part="training oe",
    worker=object,  # type: ignore[arg-type]
    config=("a", 1),
    identity={},
    schema=pa.schema([]),
    needs_model=True,
)


def test_titles_and_directories_name_the_part_where_there_is_one() -> None:
    assert (STAGE.title, STAGE.directory) == ("answers llama2-7b training oe", "llama2-7b-training-oe")
    whole = replace(STAGE, part="")
    assert (whole.title, whole.directory) == ("answers llama2-7b", "llama2-7b")


def test_a_pool_is_called_by_what_its_stages_have_in_common() -> None:
    assert name_and_sets([STAGE]) == ("answers llama2-7b training oe", [""])
    other = replace(STAGE, part="test oe")
    assert name_and_sets([STAGE, other]) == ("answers llama2-7b", ["training oe", "test oe"])
    assert name_and_sets([STAGE, replace(other, variant="m")]) == ("answers", ["llama2-7b training oe", "m test oe"])


def test_only_stages_of_one_worker_share_a_pool() -> None:
    check_one_pool([STAGE, replace(STAGE, part="x", task="y", identity={"z": 1}, keeps_figures=True)])
    for changed in ({"worker": int}, {"config": ("a", 2)}, {"gpus": 1.0}, {"waits_for_server": True}):
        with pytest.raises(AssertionError, match="cannot share a pool"):
            check_one_pool([STAGE, replace(STAGE, **changed)])  # type: ignore[arg-type]


def test_a_judge_on_a_server_and_strings_do_not_compute() -> None:
    assert STAGE.computes
    assert not replace(STAGE, waits_for_server=True).computes
    assert not replace(STAGE, needs_model=False).computes
