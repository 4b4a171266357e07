"""A long text is read in the same tokens in tuning, in features and in scoring."""

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.query_scoring import QueryScorer
from raycalib.lm.query_tokens import query_limit
from raycalib.prompts import Example, open_ended_context
from raycalib.tuning.batches import answer_row, tuning_row

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
LONG = open_ended_context("What is the capital of " + "France and Peru and " * 30 + "Japan?")
LIMIT = 120
texts = pytest.mark.parametrize("target", ["Tokyo", "Tokyo and " * 12 + "Rome"])


def scored_tokens(tiny_llama: TinyLlama, answer: str, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[int, ...], int]:
    """What the scorer gives the model, and the place whose state it takes."""
    scorer = QueryScorer(*tiny_llama, max_tokens=LIMIT)
    seen: list[torch.Tensor] = []
    whole = tiny_llama[0].model.forward

    def watched(input_ids: torch.Tensor, **named: object) -> object:
        seen.append(input_ids)
        return whole(input_ids=input_ids, **named)

    monkeypatch.setattr(tiny_llama[0].model, "forward", watched)
    scores = scorer.score([f"{LONG}\nAnswer:"], [answer])
    assert scores.n_cut[0] > 0
    return tuple(seen[0][0].tolist()), scores.n_cut[0]


@texts
@pytest.mark.parametrize("answer", ["Rome", ""])
def test_a_long_text_gives_the_same_query_in_tuning_and_in_scoring(
    tiny_llama: TinyLlama, answer: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = Example(context=LONG, target=target)
    row, cut = tuning_row(tiny_llama[1], "r", example, answer, 1, LIMIT)
    assert (row.query_ids, cut >= 1) == (scored_tokens(tiny_llama, answer, monkeypatch)[0], True)
    assert max(len(row.query_ids), len(row.kl_ids)) <= LIMIT


@pytest.mark.parametrize("answer", ["Rome", ""])
def test_a_classifier_is_tuned_on_the_tokens_whose_state_is_scored(
    tiny_llama: TinyLlama, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, cut = answer_row(tiny_llama[1], "r", Example(context=LONG, target="Tokyo"), answer, 1, LIMIT)
    query, scored_cut = scored_tokens(tiny_llama, answer, monkeypatch)
    assert cut == scored_cut
    assert row.query_ids == query[: len(row.query_ids)]


def test_the_smaller_of_the_runs_two_limits_is_that_of_queries() -> None:
    assert query_limit(None, 2048) == 2048
    assert query_limit(512, 2048) == 512
    assert query_limit(4096, 2048) == 2048
