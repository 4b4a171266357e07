import pytest

from raycalib.errors import ConfigError
from raycalib.judging import GRADERS, Grade, GraderName, grade


@pytest.mark.parametrize(
    ("target", "answer", "exact", "substring"),
    [
        ("Paris", "Paris", 1, 1),
        ("Paris", "paris", 1, 0),
        ("Paris", "It is Paris.", 0, 1),
        ("Paris", "Paris.", 1, 1),
        ("Paris", '"Paris"', 1, 1),
        ("Paris", "", 0, 0),
        ("4", "14", 0, 1),
        ("4", "4", 1, 1),
        ("the Nile", "The Nile", 1, 0),
        ("the Nile", "Nile", 1, 0),
        ("Nile", "a Nile", 1, 1),
        ("New York", "New  York", 1, 0),
        ("New York", "York", 0, 0),
        ("The", "the", 1, 0),
        ("A", "an", 0, 0),
        ("STRASSE", "straße", 1, 0),
        (".de", "de", 1, 0),
        ("U.S.", "U.S", 1, 0),
        ("-5", "5", 0, 0),
    ],
)
def test_open_ended_table(target: str, answer: str, exact: int, substring: int) -> None:
    assert grade(target, answer, "oe", "exact") == Grade(exact)
    assert grade(target, answer, "oe", "substring") == Grade(substring)


@pytest.mark.parametrize("grader", GRADERS)
@pytest.mark.parametrize(
    ("target", "answer", "label"),
    [("a", "a", 1), ("a", " a ", 1), ("a", "b", 0), ("a", "A", 0), ("a", "a)", 0), ("a", "", 0)],
)
def test_choice_compares_the_letter(target: str, answer: str, label: int, grader: GraderName) -> None:
    assert grade(target, answer, "choice", grader) == Grade(label)


@pytest.mark.parametrize("grader", GRADERS)
@pytest.mark.parametrize("style", ["oe", "choice"])
@pytest.mark.parametrize("target", ["", "  "])
def test_without_a_right_answer_a_row_is_unscored_not_wrong(target: str, style: str, grader: GraderName) -> None:
    graded = grade(target, "Paris", style, grader)
    assert graded.query_label is None
    assert graded.unscored_reason == "the question has no right answer to compare with"


def test_an_unknown_grader_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="grader: 'fuzzy' is unknown; allowed: exact, substring"):
        grade("a", "a", "oe", "fuzzy")  # type: ignore[arg-type]
