"""Memory of a cluster's head."""

import pytest

from raycalib.plans.head import head_gb, head_line


def test_only_runs_of_several_workers_take_room_on_the_head() -> None:
    assert head_gb(1, 100) == 8.0
    assert head_gb(2, 5) == pytest.approx(11.0)
    assert (
        head_line(2, 5)
        == "the head of a cluster: 11 GB of memory: 8 GB, and 0.6 GB for each of 5 runs of Ray Train at once"
    )
    assert head_line(1, 5).startswith("the head of a cluster: 8 GB of memory, and nothing for trials")
