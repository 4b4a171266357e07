from typing import Any

import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.sources.hub import (
    HUB_SOURCES,
    HubSource,
    Item,
    StyleText,
    few_shot_header,
    hub_source,
    read_split,
    render,
    render_split,
)
from raycalib.sources.hub.columns import in_columns, number

SOURCE = hub_source("boolq")
ROWS: list[dict[str, Any]] = [
    {"passage": f"Hut {name} has {doors} doors.", "question": f"has hut {name} two doors", "answer": doors == 2}
    for name, doors in (("A", 2), ("B", 3), ("C", 2), ("D", 4))
]


def items(rows: list[dict[str, Any]] = ROWS, paper_exact: bool = False) -> tuple[Item, ...]:
    return read_split(SOURCE, rows, seed=5, paper_exact=paper_exact).items


def other(question: str = "is it late") -> Item:
    return items([{"passage": "It is noon.", "question": question, "answer": False}])[0]


def header(item: Item, k: int, *, seed: int = 5, style: str = "choice", paper_exact: bool = False) -> str:
    return few_shot_header(SOURCE, item, style, pool=items(), k=k, seed=seed, paper_exact=paper_exact)


def huts(text: str) -> list[str]:
    """The huts shown in a header, in order."""
    return [line.split()[1] for line in text.splitlines() if line.startswith("Hut ")]


def test_a_header_word_by_word() -> None:
    assert header(other(), 1) == (
        "The following are comprehension passages (with multiple-choice answers).\n\n"
        "Passage:\nHut D has 4 doors.\n\nQuestion:\nhas hut D two doors\n\n"
        "Choices:\n  (a): False\n  (b): True\nAnswer: a\n\n"
        "Now, answer the following.\n\n"
    )


def test_examples_are_drawn_by_seed_and_position() -> None:
    """numpy.random.default_rng(5).permutation(4) is 3, 1, 2, 0 and default_rng(7).permutation(4) 0, 2, 1, 3."""
    assert huts(header(other(), 4, seed=5)) == ["D", "B", "C", "A"]
    assert huts(header(other(), 2, seed=5)) == ["D", "B"]
    third = items([*ROWS[:2], {"passage": "It is noon.", "question": "is it late", "answer": False}])[2]
    assert third.position == 2
    assert huts(header(third, 4, seed=5)) == ["A", "C", "B", "D"]


@pytest.mark.parametrize("style", ["oe", "choice"])
def test_a_row_is_never_its_own_example(style: str) -> None:
    for seed in range(30):
        for item in items():
            own = SOURCE.words(style).context.format_map(item.texts)
            assert own not in header(item, 3, seed=seed, style=style)


def test_the_paper_lets_a_row_be_its_own_example() -> None:
    (_, second, *_) = items()
    assert huts(header(second, 2, seed=4, paper_exact=True)) == ["D", "B"]
    assert huts(header(second, 2, seed=4)) == ["D", "C"]
    assert huts(header(second, 4, seed=4)) == ["D", "C", "A"]


def test_without_its_own_row_among_the_examples_both_ways_agree() -> None:
    (first, *_) = items()
    assert header(first, 3, seed=5) == header(first, 3, seed=5, paper_exact=True)


def test_an_equal_row_elsewhere_is_no_example_either() -> None:
    doubled = items([*ROWS, ROWS[0], {**ROWS[0], "answer": False}])
    for seed in range(30):
        text = few_shot_header(SOURCE, doubled[0], "oe", pool=doubled, k=6, seed=seed)
        assert "A" not in huts(text)


SCIQ = {"support": "Rocks melt.", "question": "What glows?", "correct_answer": "lava"}
SCIQ_WRONG = ("mud", "fog", "ash", "ice", "oil", "tar")


def test_one_question_with_other_options_or_support_is_no_example() -> None:
    sciq = hub_source("sciq")
    changes = [
        {},
        {"support": ""},
        {"question": " What glows? "},
        {"distractor1": "oil", "distractor2": "tar"},
        {"question": "What flows?"},
    ]
    distractors = {f"distractor{place}": wrong for place, wrong in enumerate(SCIQ_WRONG[:3], start=1)}
    pool = read_split(sciq, [{**SCIQ, **distractors, **change} for change in changes], seed=5).items
    for style in ("oe", "choice"):
        for seed in range(10):
            text = few_shot_header(sciq, pool[0], style, pool=pool, k=3, seed=seed)
            assert (text.count("What flows?"), text.count("What glows?")) == (1, 0)


def test_the_options_are_the_question_where_its_words_are_always_the_same() -> None:
    source = HubSource(
        name="truths",
        hub_id="someone/truths",
        splits={"train": "train"},
        shots_from="train",
        choice=StyleText(context="Which statement is true?", intro="The following are questions."),
        options=in_columns("x", "y"),
        answer=number("label"),
    )
    assert source.asked_fields == ()
    rows = [{"x": "1 < 2", "y": "2 < 1", "label": 0}, {"x": "2 < 1", "y": "1 < 2", "label": 1}]
    rows.append({"x": "3 < 4", "y": "4 < 3", "label": 0})
    pool = read_split(source, rows, seed=5).items
    for seed in range(10):
        text = few_shot_header(source, pool[0], "choice", pool=pool, k=3, seed=seed)
        assert (text.count("3 < 4"), text.count("1 < 2")) == (1, 0)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("snli", ("hypothesis", "premise")),
        ("wsc", ("text",)),
        ("copa", ("premise",)),
        ("winogrande", ("sentence",)),
        ("multirc", ("answer", "paragraph", "question")),
        ("gsm8k", ("question",)),
        ("sciq", ("question",)),
    ],
)
def test_the_question_is_what_stands_before_the_options(name: str, asked: tuple[str, ...]) -> None:
    assert hub_source(name).asked_fields == asked


def test_every_source_of_the_paper_has_a_question_of_its_own() -> None:
    assert all(source.asked_fields for source in HUB_SOURCES.values())


def test_a_pool_smaller_than_k_gives_all_it_has() -> None:
    assert len(huts(header(other(), 9))) == 4
    assert header(items()[0], 9) != ""


def test_no_examples_give_no_header_or_the_hint() -> None:
    assert header(other(), 0) == ""
    rows = [{"goal": "Cool tea", "sol1": "add ice", "sol2": "shout", "label": 0}]
    piqa = hub_source("piqa")
    (item,) = read_split(piqa, rows, seed=5).items
    hint = (
        "Give ONLY the advice, no other words or explanation.\nFor example:\n"
        "Answer: <advice, as short as possible; a single sentence!>."
    )
    assert few_shot_header(piqa, item, "oe", pool=(), k=0, seed=5) == hint
    assert few_shot_header(piqa, item, "oe", pool=(item,), k=1, seed=5) == hint  # its only row is its own
    assert few_shot_header(piqa, item, "choice", pool=(), k=0, seed=5) == ""
    (example,) = render_split(piqa, [item], "oe", seed=5)
    assert example.text() == f"{hint}Provide advice on how to accomplish the following goal.\nGoal: Cool tea\nAnswer:"


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("sciq", "Give ONLY the answer, no other words or explanation.\n\nFor example:\n"),
        ("siqa", "Give ONLY the answer, no other words or explanation.\nFor example:\n"),
    ],
)
def test_the_hints_of_sciq_and_siqa_join_their_lines_as_the_paper_does(name: str, joined: str) -> None:
    source = hub_source(name)
    assert source.oe is not None
    assert source.oe.zero_shot_hint == f"{joined}Answer: <most likely answer, as short as possible>."


def test_trec_leaves_no_blank_line_after_its_open_ended_header() -> None:
    trec = hub_source("trec")
    pool = read_split(trec, [{"text": "Where is Oslo ?", "coarse_label": 4}], seed=5).items
    (item,) = read_split(trec, [{"text": "Who won ?", "coarse_label": 3}], seed=5).items
    outro = "\n\nNow, answer the next question."
    assert few_shot_header(trec, item, "oe", pool=pool, k=1, seed=5).endswith(f"\nAnswer: Location{outro}")
    assert few_shot_header(trec, item, "choice", pool=pool, k=1, seed=5).endswith(f"\nAnswer: e{outro}\n\n")


def test_an_empty_pool_and_a_negative_k_are_errors() -> None:
    with pytest.raises(DataError, match="source boolq: the hub's split 'train' has no row to use as an example"):
        few_shot_header(SOURCE, other(), "oe", pool=(), k=1, seed=5)
    with pytest.raises(ConfigError, match="source boolq: -1 few-shot examples; at least 0"):
        few_shot_header(SOURCE, other(), "oe", pool=(), k=-1, seed=5)
    with pytest.raises(ConfigError, match="it has no 'verse' prompts; allowed: oe, choice"):
        render(SOURCE, other(), "verse")


def test_braces_in_a_text_stay_as_they_are() -> None:
    item = other("is {passage} {0} a set {}")
    assert "is {passage} {0} a set {}" in render(SOURCE, item, "oe").context


def test_render_split_keeps_the_order_and_adds_the_headers() -> None:
    examples = list(render_split(SOURCE, items(), "choice", k=2, pool=items(), seed=5))
    assert [example.target for example in examples] == ["b", "a", "b", "a"]
    assert [example.prompt for example in examples] == [header(item, 2) for item in items()]
