"""The contexts of the mixture's validation rows, from rows that are repeated and numbered."""

import hashlib
from typing import Any

from raycalib.sources.hub import hub_source
from tests.golden.mixture import NO_ROWS, SEED, compare_validation, contexts_of
from tests.golden.tally import Tally

CHOICES = {"text": ["one", "two"], "label": ["A", "B"]}
ARC = {"validation": [{"id": "x", "question": f"{word}?", "choices": CHOICES, "answerKey": "A"} for word in ("A", "B")]}
SNLI = {
    "validation": [
        {"premise": "P.", "hypothesis": "H.", "label": 0},
        {"premise": "Q.", "hypothesis": "H.", "label": -1},
    ]
}


def test_rows_are_repeated_and_numbered_before_any_is_left_out() -> None:
    arc = contexts_of(hub_source("arc"), "oe", ARC)
    assert [context.partition(": ")[2] for context in arc[:3]] == [
        "ARC-Easy: A? [#0]",
        "ARC-Easy: B? [#1]",
        "ARC-Easy: A? [#2]",
    ]
    snli = contexts_of(hub_source("snli"), "oe", SNLI)
    assert "P. [#0]" in snli[0]
    assert "P. [#2]" in snli[1]


def run(shas: list[str], names: tuple[str, str] = ("arc", "arc")) -> Tally:
    """A run on three rows of arc, of which the paper keeps two: RandomState(137).permutation(2) is 1, 0."""
    golden: dict[str, Any] = {
        "prompt_style": "oe",
        "dataset_order": ["arc"],
        "sizes_after_loader": {"arc": [None, 3, None]},
        "max_n": 3,
        "max_val_n": 2,
        "val_n": 2,
        "val_trace_[dataset,index]": [[names[0], 1], [names[1], 0]],
        "val_row_context_sha": shas,
    }
    tally = Tally()
    compare_validation("here", golden, {"arc": ARC}, tally)
    return tally


def test_contexts_are_compared_by_their_hash() -> None:
    assert SEED == 137
    right = [
        hashlib.sha256(f"The question is: ARC-Easy: {question}".encode()).hexdigest()[:12]
        for question in ("B? [#1]", "A? [#0]")
    ]
    assert run(right).differences == []
    assert run(right).not_compared == {}
    assert [line.partition(": ")[0] for line in run(right[::-1]).differences] == [
        "here/paper_exact/context/arc/1",
        "here/paper_exact/context/arc/0",
    ]


def test_rows_that_are_not_given_are_counted() -> None:
    tally = run(["0" * 12, "1" * 12], ("boolq", "cb"))
    assert tally.not_compared == {NO_ROWS: 2}
