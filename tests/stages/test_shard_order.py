"""In which order a stage's shards are made."""

from dataclasses import replace
from pathlib import Path

from raycalib.stages.pools.shard_work import ShardWork
from raycalib.storage import Location
from tests.stages.test_shared_pool import source, stage

N_SHARDS = 12


def order(folder: Path, variant: str, *, waits_for_server: bool) -> list[int]:
    rows = source(folder, "in", n_shards=N_SHARDS)
    made = replace(stage(folder, "test oe", waits_for_server=waits_for_server), variant=variant)
    return ShardWork(made, rows, Location(str(folder / "out"))).missing


def test_a_server_is_asked_about_other_shards_first_for_each_model(tmp_path: Path) -> None:
    orders = [
        order(tmp_path, variant, waits_for_server=True)
        for variant in ("llama2-7b", "llama2-7b-chat", "mistral-7b-instruct")
    ]
    assert all(sorted(each) == list(range(N_SHARDS)) for each in orders)
    assert len({each[0] for each in orders}) == 3
    for each in orders:  # one after the other from there on
        assert [(shard - each[0]) % N_SHARDS for shard in each] == list(range(N_SHARDS))
    assert order(tmp_path, "llama2-7b", waits_for_server=True) == orders[0]


def test_what_computes_goes_from_the_first_to_the_last(tmp_path: Path) -> None:
    assert order(tmp_path, "llama2-7b-chat", waits_for_server=False) == list(range(N_SHARDS))
