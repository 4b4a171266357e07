"""How many few-shot examples a row has."""

from dataclasses import replace

import pytest

from raycalib.sources.drawing.streams import Asking, SourceStream
from raycalib.sources.hub.catalogue import hub_source
from raycalib.sources.hub.open_hub import OpenHubSource
from raycalib.sources.parts import parse_shots

RUN = ("train", "val_select", "val_calibrate", "test")


def shots(name: str, split: str, *k_shot: str, eval_k_shot: int | None = None) -> int:
    """Of a row of a source whose evaluated rows have three by default."""
    source = OpenHubSource(replace(hub_source(name), default_shots=3), None, seed=0)
    asking = Asking(style="oe", seed=0, shots=parse_shots(k_shot, eval_k_shot))
    return SourceStream(source=source, role="train", asking=asking).shots(split)


def test_a_sources_default_is_for_rows_that_are_evaluated() -> None:
    assert [shots("arc", split) for split in (*RUN, "arc")] == [0, 0, 0, 3, 3]
    assert [shots("arc", split, "1") for split in (*RUN, "arc")] == [1, 1, 1, 3, 3]
    assert [shots("arc", split, "1", "val=None", "arc=2") for split in (*RUN, "arc")] == [1, 0, 0, 2, 2]
    assert [shots("arc", split, eval_k_shot=1) for split in (*RUN, "arc")] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("split", ["validation", "test", "heldout_families", "mmlu"])
def test_rows_of_a_source_that_only_evaluates_are_evaluated(split: str) -> None:
    assert shots("mmlu:anatomy", split, "1") == 3
    assert shots("mmlu:anatomy", split, "1", "mmlu=5", eval_k_shot=2) == 5
