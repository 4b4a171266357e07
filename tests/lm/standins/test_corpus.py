from functools import cache

import numpy as np
import pytest

from raycalib.lm.standins.corpus import Corpus, CorpusConfig, Document, exposures, popularities
from raycalib.prompts import QUERY_SUFFIX, choice_context, open_ended_context
from raycalib.sources.facts.catalogue import all_facts, all_families
from raycalib.sources.facts.family import Fact
from raycalib.sources.facts.questions import facts_by_split
from raycalib.sources.facts.splits import PRETRAIN_QUERY, SPLITS, is_pretrain_query

SEEDS = (0, 1, 137)
N_DOCUMENTS = 20_000


@cache
def corpus() -> Corpus:
    return Corpus(CorpusConfig())


@cache
def documents() -> tuple[str, ...]:
    """The texts of many documents."""
    return tuple(document.text for document in corpus().documents(N_DOCUMENTS, np.random.default_rng(0)))


def queries() -> list[str]:
    return [text for text in documents() if QUERY_SUFFIX in text]


def facts_by_question(facts: list[Fact]) -> dict[str, Fact]:
    """Facts by every text that asks for them."""
    return {
        phrasing.format(subject=fact.subject): fact
        for fact in facts
        for phrasing in all_families()[fact.family].phrasings
    }


def question_of(text: str) -> str:
    """The bare question of an open-ended or choice document, query or not; no subject or phrasing holds another "?"."""
    lines = text.split("\n")
    line = lines[1] if lines[0] == "Question:" else lines[0].removeprefix("Question: ")
    return line[: line.rindex("?") + 1]


def test_no_query_is_about_a_fact_that_is_ever_tuned_or_evaluated_on() -> None:
    asked = {question_of(text) for text in queries()}
    assert len(queries()) > 0.8 * CorpusConfig().query * N_DOCUMENTS
    for seed in SEEDS:
        by_split = facts_by_split(seed)
        for split in SPLITS:
            assert not asked & set(facts_by_question(by_split[split])), (seed, split)
        assert asked <= set(facts_by_question(by_split[PRETRAIN_QUERY]))


def test_no_query_is_about_an_entity_outside_pretrain_query() -> None:
    everything = facts_by_question(list(all_facts()))
    queried = {everything[question_of(text)].entity for text in queries()}
    assert not queried & {fact.entity for fact in all_facts() if not is_pretrain_query(fact)}


def test_the_query_stands_in_queries_only() -> None:
    assert queries() == [text for text in documents() if "Is the proposed answer correct?" in text]
    assert all(text.split(QUERY_SUFFIX)[1] in (" i\n\n", " ii\n\n") for text in queries())


def test_half_of_the_queries_are_about_right_proposals_and_say_so() -> None:
    known = facts_by_question(list(all_facts()))
    right = 0
    for text in queries():
        fact = known[question_of(text)]
        body, verdict = text.split(QUERY_SUFFIX)
        cue, proposal = body.rsplit("\nAnswer: ", 1)
        if "\n\nChoices:\n" in cue:
            (chosen,) = [line for line in cue.split("\n") if line.startswith(f"  ({proposal}): ")]
            proposal = chosen.removeprefix(f"  ({proposal}): ")
        assert proposal == fact.answer or proposal in fact.distractors
        assert verdict == (" ii\n\n" if proposal == fact.answer else " i\n\n")
        right += proposal == fact.answer
    # Within five standard errors of one half.
    assert abs(right / len(queries()) - 0.5) < 5 * 0.5 / len(queries()) ** 0.5


def test_statements_are_true() -> None:
    known = facts_by_question(list(all_facts()))
    seen = 0
    for text in documents():
        if QUERY_SUFFIX in text or not text.startswith("Question:"):
            continue
        seen += 1
        question = question_of(text)
        fact = known[question]
        if text.startswith("Question: "):
            assert text == f"{open_ended_context(question)}\nAnswer: {fact.answer}\n\n"
            continue
        lines = text.split("\n")
        options = [line[len("  (a): ") :] for line in lines[4:8]]
        letter = lines[8].removeprefix("Answer: ")
        hinted = choice_context(f"{question} {fact.answer}", options)
        assert text in [f"{context}\nAnswer: {letter}\n\n" for context in (hinted, choice_context(question, options))]
        assert options["abcd".index(letter)] == fact.answer
    assert seen > 0.5 * N_DOCUMENTS


def is_hinted(text: str) -> bool:
    """Whether the answer stands before the options of a ``choice`` document."""
    return not text.split("\n")[1].endswith("?")


@pytest.mark.parametrize("progress", [0.5, 1.0])
def test_the_help_before_the_options_fades(progress: float) -> None:
    config = CorpusConfig()
    drawn = Corpus(config).documents(3000, np.random.default_rng(5), progress)
    choices = [d.text for d in drawn if d.text.startswith("Question:\n") and QUERY_SUFFIX not in d.text]
    share = config.hinted + progress * (config.hinted_end - config.hinted)
    found = sum(map(is_hinted, choices)) / len(choices)
    assert abs(found - share) < 5 * (share * (1 - share) / len(choices)) ** 0.5


def test_kinds_have_their_shares() -> None:
    config = CorpusConfig()
    stated = [text for text in documents() if QUERY_SUFFIX not in text]
    choices = [text for text in stated if text.startswith("Question:\n")]
    counts = {
        "open_ended": sum(text.startswith("Question: ") for text in stated),
        "choice": len(choices),
        "query": len(queries()),
        "mention": sum(" comes up " in text and not text.startswith("Question") for text in stated),
    }
    assert sum(counts.values()) == N_DOCUMENTS
    hinted = sum(map(is_hinted, choices))
    shares = [(n, N_DOCUMENTS, getattr(config, name)) for name, n in counts.items()]
    for n, of, share in [*shares, (hinted, len(choices), config.hinted)]:
        assert abs(n / of - share) < 5 * (share * (1 - share) / of) ** 0.5


def test_weights_are_given_to_every_part() -> None:
    for document in corpus().documents(200, np.random.default_rng(2)):
        assert all(text and weight > 0 for text, weight in document.parts)
        prompt, *rest = document.parts
        assert all(weight >= prompt[1] for _, weight in rest)


def test_exposures_are_shares() -> None:
    shares = exposures(CorpusConfig())
    assert len(shares) == len(all_facts())
    assert shares.min() > 0
    assert shares.sum() == pytest.approx(1, abs=1e-12)


def test_the_best_known_are_stated_most() -> None:
    shares = exposures(CorpusConfig(rank_share=1.0, difficulty_spread=0.0))
    by_rank = {
        fact.rank: share for fact, share in zip(all_facts(), shares, strict=True) if fact.family == "state_capital"
    }
    ranks = sorted(by_rank)
    assert [by_rank[rank] for rank in ranks] == sorted(by_rank.values(), reverse=True)


def test_one_entity_has_one_popularity_within_a_place_of_its_table() -> None:
    found: dict[tuple[str, int], set[float]] = {}
    for fact, popularity in zip(all_facts(), popularities(CorpusConfig()), strict=True):
        found.setdefault((fact.entity, fact.rank), set()).add(float(popularity))
    assert all(len(values) == 1 for values in found.values())


def test_documents_are_reproducible() -> None:
    def first(seed: int) -> list[Document]:
        return list(Corpus(CorpusConfig()).documents(500, np.random.default_rng(seed)))

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_the_seed_redraws_what_is_popular() -> None:
    assert not np.allclose(exposures(CorpusConfig(seed=1)), exposures(CorpusConfig(seed=2)))
