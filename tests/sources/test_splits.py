"""How the embedded facts are dealt to splits, and the questions drawn from them."""

from collections import Counter, defaultdict
from functools import cache

import pytest

from raycalib.records import PROMPT_STYLES, Row
from raycalib.sources.facts.catalogue import HELDOUT_FAMILIES, all_facts, all_families
from raycalib.sources.facts.family import Fact
from raycalib.sources.facts.questions import fact_questions, facts_by_split
from raycalib.sources.facts.splits import HELDOUT, PRETRAIN_QUERY, SPLITS, TEST, TRAIN, is_pretrain_query, split_of

SEEDS = (0, 1, 137)
OF_THE_SEED = ("train", "val_select", "val_calibrate", "test")


@pytest.fixture(params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    value: int = request.param
    return value


@cache
def questions(style: str, split: str, seed: int) -> tuple[Row, ...]:
    return tuple(fact_questions(style, split, seed))


@cache
def facts_by_question() -> dict[str, Fact]:
    """The fact behind each question text that can be asked."""
    return {
        phrasing.format(subject=fact.subject): fact
        for fact in all_facts()
        for phrasing in all_families()[fact.family].phrasings
    }


def question_of(row: Row) -> str:
    """The bare question in a row's context."""
    lines: list[str] = row["context"].split("\n")
    return lines[1] if row["style"] == "choice" else row["context"].removeprefix("Question: ")


def key(fact: Fact) -> tuple[str, str]:
    return fact.family, fact.entity


def splits_of_entities(seed: int) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for fact in all_facts():
        found[fact.entity].add(split_of(fact, seed))
    return found


def test_enough_facts_and_families() -> None:
    assert len(all_facts()) >= 3500
    assert len(all_families()) >= 12
    assert len({key(fact) for fact in all_facts()}) == len(all_facts())


def test_a_question_text_belongs_to_one_fact() -> None:
    texts = [
        phrasing.format(subject=fact.subject)
        for fact in all_facts()
        for phrasing in all_families()[fact.family].phrasings
    ]
    assert len(texts) == len(set(texts))


def test_every_fact_is_in_exactly_one_split(seed: int) -> None:
    dealt = [key(fact) for facts in facts_by_split(seed).values() for fact in facts]
    assert len(dealt) == len(set(dealt)) == len(all_facts())


def test_all_phrasings_and_styles_of_a_fact_share_a_split(seed: int) -> None:
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for split in SPLITS:
        for style in PROMPT_STYLES:
            for row in questions(style, split, seed):
                splits[key(facts_by_question()[question_of(row)])].add(row["split"])
    dealt = {key(fact): split for split, facts in facts_by_split(seed).items() for fact in facts}
    assert {fact: {split} for fact, split in dealt.items() if split != PRETRAIN_QUERY} == splits


def test_seeds_redraw_the_splits() -> None:
    for split in OF_THE_SEED:
        drawn = [frozenset(map(key, facts_by_split(seed)[split])) for seed in SEEDS]
        assert len(set(drawn)) == len(SEEDS)


def test_held_out_families_and_pretrain_query_do_not_depend_on_the_seed() -> None:
    for split in (HELDOUT, PRETRAIN_QUERY):
        assert len({frozenset(map(key, facts_by_split(seed)[split])) for seed in SEEDS}) == 1
    held_out = {fact.family for fact in facts_by_split(0)[HELDOUT]}
    assert held_out == set(HELDOUT_FAMILIES)


def test_held_out_entities_occur_in_no_other_family() -> None:
    families: dict[str, set[str]] = defaultdict(set)
    for fact in all_facts():
        families[fact.entity].add(fact.family)
    assert all(len(families[fact.entity]) == 1 for fact in all_facts() if fact.family in HELDOUT_FAMILIES)


def test_pretrain_query_takes_whole_entities() -> None:
    mine = {fact.entity for fact in all_facts() if is_pretrain_query(fact)}
    others = {fact.entity for fact in all_facts() if not is_pretrain_query(fact)}
    assert mine
    assert not mine & others


def test_enough_test_questions_in_each_style(seed: int) -> None:
    for style in PROMPT_STYLES:
        assert len(questions(style, TEST, seed)) >= 1000


def test_enough_held_out_families_with_enough_questions(seed: int) -> None:
    for style in PROMPT_STYLES:
        per_family = Counter(row["task"] for row in questions(style, HELDOUT, seed))
        assert sum(n >= 100 for n in per_family.values()) >= 3


def test_at_least_thirty_percent_of_the_test_entities_are_fresh_and_truly_so(seed: int) -> None:
    splits = splits_of_entities(seed)
    fresh, tested = set(), set()
    for row in questions("oe", TEST, seed):
        entity = facts_by_question()[question_of(row)].entity
        tested.add(entity)
        if row["fresh_entity"]:
            fresh.add(entity)
    assert len(fresh) >= 0.3 * len(tested)
    assert fresh == {entity for entity in tested if splits[entity] == {TEST}}


def test_all_facts_of_an_entity_agree_on_freshness(seed: int) -> None:
    for style in PROMPT_STYLES:
        seen: dict[str, set[bool]] = defaultdict(set)
        for row in questions(style, TEST, seed):
            seen[facts_by_question()[question_of(row)].entity].add(row["fresh_entity"])
        assert all(len(values) == 1 for values in seen.values())


@pytest.mark.parametrize("split", SPLITS)
def test_options_hold_the_answer_once_among_four(split: str, seed: int) -> None:
    for row in questions("choice", split, seed):
        fact = facts_by_question()[question_of(row)]
        options = row["options"]
        assert len(options) == len(set(options)) == 4, row
        assert options.count(fact.answer) == 1, row
        assert options["abcd".index(row["target"])] == fact.answer, row
        lines = [f"  ({letter}): {option}" for letter, option in zip("abcd", options, strict=True)]
        assert row["context"].endswith("Choices:\n" + "\n".join(lines)), row


def test_the_right_letter_is_spread_evenly(seed: int) -> None:
    letters = Counter(row["target"] for row in questions("choice", TRAIN, seed))
    n = sum(letters.values())
    # Within five standard errors of n draws.
    assert all(abs(letters[letter] / n - 0.25) < 5 * (0.25 * 0.75 / n) ** 0.5 for letter in "abcd")


def test_open_ended_questions_have_the_answer_as_target(seed: int) -> None:
    for row in questions("oe", TEST, seed):
        assert row["target"] == facts_by_question()[question_of(row)].answer
        assert row["options"] == []


def test_every_fact_is_asked_once_per_style_and_in_the_same_words(seed: int) -> None:
    for split in SPLITS:
        asked = {style: [question_of(row) for row in questions(style, split, seed)] for style in PROMPT_STYLES}
        assert sorted(asked["oe"]) == sorted(asked["choice"])
        assert len(asked["oe"]) == len(facts_by_split(seed)[split])
        assert len({row["group"] for row in questions("oe", split, seed)}) == len(asked["oe"])


def test_row_ids_are_unique_over_splits_and_styles(seed: int) -> None:
    ids = [row["row_id"] for style in PROMPT_STYLES for split in SPLITS for row in questions(style, split, seed)]
    assert len(ids) == len(set(ids))


def test_row_ids_are_stable_and_belong_to_the_text() -> None:
    again = fact_questions("oe", TEST, 137)
    assert [row["row_id"] for row in again] == [row["row_id"] for row in questions("oe", TEST, 137)]
    by_id: dict[str, tuple[str, str]] = {}
    for seed in SEEDS:
        for row in questions("choice", TEST, seed):
            text = row["context"], row["target"]
            assert by_id.setdefault(row["row_id"], text) == text


def test_a_limit_takes_the_first_of_the_same_order() -> None:
    assert fact_questions("oe", TEST, 1, limit=17) == list(questions("oe", TEST, 1))[:17]


def test_a_limited_draw_mixes_the_families() -> None:
    assert len({row["task"] for row in fact_questions("oe", TEST, 1, limit=200)}) >= 30


def test_unknown_style_and_split_are_refused() -> None:
    with pytest.raises(ValueError, match="style: 'essay' is unknown; allowed: oe, choice"):
        fact_questions("essay", TEST, 0)
    with pytest.raises(ValueError, match="split: 'pretrain_query' is unknown; allowed: train"):
        fact_questions("oe", PRETRAIN_QUERY, 0)
