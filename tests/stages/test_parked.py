"""Of the parked shards a worker asks for those of its own, and reads no others."""

from uuid import uuid4

import pytest

from raycalib.records import LABELLED
from raycalib.stages.pools import parked
from raycalib.stages.pools.parked import parked_names, settled_rows, write_parked
from raycalib.storage import Location
from tests.stages.combos import labelled_row


def test_settled_rows_are_those_of_the_shards_own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Location(f"memory://{uuid4().hex}")
    done = [{name: labelled_row(number, "test", 1)[name] for name in LABELLED.names} for number in range(3)]
    waiting = [row | {"retryable": True, "query_label": None} for row in done]
    write_parked(place, 1, [done[0], waiting[1], waiting[2]], LABELLED)
    write_parked(place, 1, [waiting[0], done[1], waiting[2]], LABELLED)
    write_parked(place, 11, done, LABELLED)
    write_parked(place, 123_456, waiting, LABELLED)
    assert (len(parked_names(place)), len(parked_names(place, 123_456)), parked_names(place, 12_345)) == (4, 1, [])
    read, plain = list[str](), parked.read_shard
    monkeypatch.setattr(parked, "read_shard", lambda where, name: read.append(name) or plain(where, name))
    assert settled_rows(place, 1, done) == [done[0], done[1], None]
    assert len(read) == 2
    assert settled_rows(place, 11, done) == done
    assert settled_rows(place, 123_456, done) == [None] * 3
    assert settled_rows(place, 2, done) == [None] * 3
