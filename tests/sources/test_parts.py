"""Values by part: what a text says, which rows it is about, and what is refused."""

import pickle

import pytest

from raycalib.errors import ConfigError
from raycalib.sources.facts.splits import SPLITS
from raycalib.sources.parts import (
    AS_ANSWERED,
    NO_HEADER,
    PAPER_QUERY_HEADER,
    WITHOUT_HEADER,
    header_identity,
    parse_query_header,
    parse_shots,
)

TAUGHT = ("train", "val_select", "val_calibrate")


def test_nothing_given_is_the_default_everywhere() -> None:
    assert parse_query_header(()) == WITHOUT_HEADER
    assert {parse_shots(()).value_for(split, "arc") for split in SPLITS} == {None}


def test_a_bare_header_is_for_all_parts() -> None:
    for given in (("as-answered",), ["as-answered"], "as-answered"):
        header = parse_query_header(given)
        assert {header.value_for(split, source) for split in (*SPLITS, "mmlu") for source in ("arc", "mmlu:law")} == {
            AS_ANSWERED
        }


def test_a_part_is_told_from_the_others() -> None:
    header = parse_query_header(["train=as-answered", "mmlu=as-answered", "mmlu:virology=none", "test=as-answered"])
    expected = {
        ("train", "arc"): AS_ANSWERED,
        ("val_select", "arc"): NO_HEADER,
        ("val_calibrate", "arc"): NO_HEADER,
        ("test", "arc"): AS_ANSWERED,
        ("mmlu", "mmlu:anatomy"): AS_ANSWERED,  # the rows of an evaluation set have its name as their split
        ("mmlu", "mmlu:virology"): NO_HEADER,
        ("heldout_families", "mmlu:anatomy"): AS_ANSWERED,
        ("heldout_families", "gsm8k"): NO_HEADER,
        ("mmlu_pro", "mmlu_pro:law"): NO_HEADER,
    }
    assert {row: header.value_for(*row) for row in expected} == expected


def test_the_narrowest_part_decides() -> None:
    shots = parse_shots(["heldout_families=1", "mmlu=2", "mmlu:virology=3"])
    rows = [("heldout_families", source) for source in ("gsm8k", "mmlu:anatomy", "mmlu:virology")]
    assert [shots.value_for(*row) for row in rows] == [1, 2, 3]


def test_what_is_said_of_a_source_never_touches_what_is_tuned_on() -> None:
    """The mixture trains on arc while another part of arc is evaluated on."""
    shots = parse_shots(["arc=3"])
    assert [shots.value_for(split, "arc") for split in (*TAUGHT, "arc", "test")] == [None, None, None, 3, 3]
    header = parse_query_header(["arc=as-answered"])
    assert header_identity(header, TAUGHT) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["1"], (1, 1, 1, None)),
        (["train=1"], (1, 1, 1, None)),
        (["val=2"], (None, 2, 2, None)),
        (["1", "val=2"], (1, 2, 2, None)),
        (["1", "train=2"], (2, 1, 1, None)),
        (["1", "test=4"], (1, 1, 1, 4)),
        (["train=1", "val=None", "test=0"], (1, None, None, 0)),
        (["None"], (None, None, None, None)),
    ],
)
def test_rows_to_validate_on_have_as_many_shots_as_those_to_train_on(
    given: list[str], expected: tuple[int | None, ...]
) -> None:
    shots = parse_shots(given)
    assert tuple(shots.value_for(split, "arc") for split in (*TAUGHT, "test")) == expected


def test_the_number_for_evaluation_is_of_what_no_part_names() -> None:
    shots = parse_shots(["1", "mmlu=5"], 2)
    rows = [*((split, "arc") for split in SPLITS), ("mmlu", "mmlu:anatomy")]
    assert [shots.value_for(*row) for row in rows] == [1, 1, 1, 2, 2, 5]


def test_own_questions_are_named_as_they_are_given() -> None:
    shots = parse_shots(["file:/data/a=b/mine.csv=3", "hub:org/name:config=4"])
    assert shots.value_for("mine", "file:mine.csv") == shots.value_for("test", "file:/data/a=b/mine.csv") == 3
    assert parse_shots(["file:mine=3"]).value_for("mine", "file:mine.csv") == 3
    assert shots.value_for("name:config", "hub:org/name:config") == 4
    assert shots.value_for("other", "file:other.csv") is None
    assert parse_query_header(["mine=as-answered"], ["mine"]).value_for("mine", "file:mine.csv") == AS_ANSWERED


def test_a_collection_can_be_named_as_in_a_dataset() -> None:
    assert parse_shots(["eval:mmlu=3"]) == parse_shots(["mmlu=3"])


def test_a_datasets_own_validation_rows_are_validated_on_where_a_run_does() -> None:
    """A preview shows them before they are dealt."""
    shots = parse_shots(["val=1", "mmlu=5"])
    assert shots.value_for("validation", "arc") == 1
    assert shots.value_for("validation", "mmlu:anatomy") == 5


PARTS = (
    r"allowed: train, val, test, heldout_families, mmlu, mmlu_pro, a source such as arc or mmlu:anatomy, your own as"
)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["yes"], "query_header: yes is not allowed; allowed: none, as-answered$"),
        (["mmlu=5"], "query_header: mmlu=5 is not allowed; allowed: none, as-answered$"),
        ([""], "query_header: '' is not allowed"),
        (["tain=none"], rf"query_header: the part 'tain' is unknown; {PARTS} .*; did you mean train\?$"),
        (["=none"], "query_header: the part '' is unknown"),
        (["val_select=none"], r"the part 'val_select' is unknown; allowed: train, val"),
        (["mine=none"], "the part 'mine' is unknown"),
        (["mmlu=none", "eval:mmlu=none"], "query_header: eval:mmlu is given twice; give it once$"),
        (["none", "none"], "query_header: a value without a part is given twice; give it once$"),
        (["yes", "arcc=none"], "yes is not allowed.*; query_header: the part 'arcc' is unknown.* did you mean arc"),
    ],
)
def test_what_is_not_allowed_is_said_with_what_is(given: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_query_header(given)


@pytest.mark.parametrize("text", ["-1", "train=-1", "train=", "1.5", "val=one", "²", "train", "1 2"])
def test_a_number_of_shots_is_a_whole_number(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^source\.k_shot: .* is not allowed; at least 0: a whole number, such as"):
        parse_shots([text])


def test_no_header_leaves_no_mark_in_an_identity() -> None:
    for given in ((), ("none",), ("mmlu=none",)):
        assert header_identity(parse_query_header(given), SPLITS, ["arc", "mmlu:anatomy"]) == {}
    paper = parse_query_header(PAPER_QUERY_HEADER)
    assert header_identity(paper, TAUGHT, ["arc"]) == header_identity(paper, ["test"], ["arc"]) == {}
    assert header_identity(paper, ["mmlu"], ["mmlu:anatomy", "mmlu:virology"]) == {
        "query_header": {"mmlu": AS_ANSWERED}
    }
    assert header_identity(paper, ["heldout_families"], ["gsm8k", "mmlu:anatomy"]) == {
        "query_header": {"heldout_families": {"gsm8k": NO_HEADER, "mmlu:anatomy": AS_ANSWERED}}
    }


def test_values_pickle_to_workers() -> None:
    values = parse_query_header(PAPER_QUERY_HEADER)
    assert pickle.loads(pickle.dumps(values)) == values
