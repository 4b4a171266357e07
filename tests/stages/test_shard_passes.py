"""What is done again, how often, and when a stage is given up; the passes are made up, so without Ray."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from raycalib.stages.pools import shard_passes
from raycalib.stages.pools.shard_passes import MOST_PASSES_IN_VAIN, TRIES_OF_EACH, shard_statuses
from raycalib.stages.pools.spec import ShardStage

Status = dict[str, Any]


def done(shard: int, process: str = "good") -> Status:
    return {"shard": shard, "built": True, "unusable": "", "process": process, "cause": ""}


def not_built(shard: int, process: str = "bad") -> Status:
    return done(shard, process) | {"built": False, "cause": "out of memory"}


class FakeCluster:
    def connect(self) -> None: ...


class Part:
    """A stage of so many shards, which is over once one of these has come."""

    def __init__(self, n_shards: int, ends_at: int = -1) -> None:
        self.missing, self.ends_at = list(range(n_shards)), ends_at
        self.stage = ShardStage(
            name="s", variant="v", worker=object, config=None, identity={}, schema=pa.schema([]), needs_model=True
        )  # type: ignore[arg-type]
        self.is_over, self.is_settled = False, False

    def take(self, shard: int) -> None:
        self.is_over = self.is_over or shard == self.ends_at


class Runs:
    """Passes that are told what comes of them, and nodes that go away with some."""

    def __init__(self, passes: Callable[[int, list[int]], list[Status]], node_goes: bool = False) -> None:
        self.passes, self.node_goes = passes, node_goes
        self.asked: list[list[int]] = []

    def one_pass(self, parts: Any, places: Any, cluster: Any) -> Any:
        self.asked.append([shard for _, shard in places])
        statuses = self.passes(len(self.asked), self.asked[-1])
        work = {shard: work for work, shard in places}
        return ({"work": work[status["shard"]]} | status for status in statuses)

    def gone(self) -> set[str]:
        return {str(number) for number in range(len(self.asked))} if self.node_goes else set()


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> Callable[[Runs, int], list[Status]]:
    def run(runs: Runs, *given: int | Part) -> list[Status]:
        monkeypatch.setattr(shard_passes, "_one_pass", runs.one_pass)
        monkeypatch.setattr(shard_passes, "gone_nodes", runs.gone)
        parts = [Part(part) if isinstance(part, int) else part for part in given]
        found = []
        for status in shard_statuses(parts, FakeCluster()):  # type: ignore[arg-type]
            parts[status["work"]].take(status["shard"])
            found.append(status)
        return found

    return run


def test_shards_that_a_bad_gpu_took_are_done_by_the_others(statuses, capsys: pytest.CaptureFixture[str]) -> None:
    def passes(number: int, missing: list[int]) -> list[Status]:
        return [not_built(shard) if number == 1 and shard % 2 else done(shard) for shard in missing]

    runs = Runs(passes)
    assert sorted(status["shard"] for status in statuses(runs, 4)) == [0, 1, 2, 3]
    assert runs.asked == [[0, 1, 2, 3], [1, 3]]
    assert "a worker could not load its model (out of memory), doing 2 shards again" in capsys.readouterr().out


def test_where_no_process_loads_the_stage_is_given_up_and_the_cause_comes_out(statuses) -> None:
    runs = Runs(lambda number, missing: [not_built(shard) for shard in missing])
    found = statuses(runs, 100)
    assert len(runs.asked) == 1
    assert len(found) == TRIES_OF_EACH
    assert {status["cause"] for status in found} == {"out of memory"}


def test_passes_that_get_nothing_done_are_bounded(statuses) -> None:
    """The last shards are taken by the bad process again and again."""
    runs = Runs(lambda number, missing: [done(0)] if number == 1 else [not_built(shard) for shard in missing])
    runs.passes = lambda number, missing: [
        done(shard) if number == 1 and shard == 0 else not_built(shard) for shard in missing
    ]
    found = statuses(runs, 3)
    assert len(runs.asked) == 1 + MOST_PASSES_IN_VAIN
    assert [status["shard"] for status in found if not status["built"]] == [1, 2]


@pytest.mark.parametrize("node_goes", [True, False])
def test_what_a_node_took_with_it_is_done_again_unless_the_shards_take_every_node_down(statuses, node_goes) -> None:
    """A shard that needs more memory than a node has would have new nodes bought for ever."""
    runs = Runs(lambda number, missing: [done(shard) for shard in missing if shard != 2], node_goes)
    assert sorted(status["shard"] for status in statuses(runs, 4)) == [0, 1, 3]
    assert runs.asked == ([[0, 1, 2, 3]] + [[2]] * MOST_PASSES_IN_VAIN if node_goes else [[0, 1, 2, 3]])


def test_the_rest_of_a_part_that_is_over_is_left_and_the_others_are_done(statuses) -> None:
    """Work 0 has the shards 0 to 2 and is over at its first one; work 1 has 0 to 3, of which 3 comes at first."""
    runs = Runs(lambda number, missing: [])

    def one_pass(parts: Any, places: Any, cluster: Any) -> Any:
        runs.asked.append(places)
        ordered = sorted(places, key=lambda place: place != (1, 3))
        return ({"work": work} | done(shard) for work, shard in ordered)

    runs.one_pass = one_pass  # type: ignore[method-assign]
    found = statuses(runs, Part(3, ends_at=0), 4)
    assert [(status["work"], status["shard"]) for status in found] == [(1, 3), (0, 0), (1, 0), (1, 1), (1, 2)]
    assert runs.asked[1:] == [[(1, 0), (1, 1), (1, 2)]]
