"""The tokens of a query about an answer: one rule of what is read and what is cut, for tuning and for scoring."""

from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from raycalib.lm.window import fit_left, without_left
from raycalib.prompts import query_text


class QueryTokens(NamedTuple):
    """What a model reads of an answered text.

    Attributes:
        query: ids of the text, its answer and the query.
        answered: ids of the same text and answer alone, whose last token's state stands for the answer.
        n_cut: tokens left out behind the BOS of both.
    """

    query: list[int]
    answered: list[int]
    n_cut: int


def query_tokens(
    tokenizer: PreTrainedTokenizerBase, text: str, answer: str, target_prompt: str, most: int | None
) -> QueryTokens:
    """The tokens of a query about an answer.

    Args:
        tokenizer: of the model.
        text: ends with its target prompt.
        answer: proposed.
        target_prompt: is never cut, nor are answer and query.
        most: tokens of the query that are read; where there are more, the left of the text is cut.

    Raises:
        TooLongError: target prompt, answer and query alone are longer.
    """
    query, n_cut = fit_left(tokenizer, query_text(text, answer), query_text(target_prompt, answer), most)
    answered = list(tokenizer(f"{text} {answer}".strip())["input_ids"])
    return QueryTokens(query, without_left(tokenizer, answered, n_cut), n_cut)


def query_limit(max_tokens: int | None, tuning_max_tokens: int) -> int:
    """Tokens of a query at most, in tuning and in scoring alike: the smaller of a run's two limits.

    A model's window may be smaller still.

    >>> query_limit(None, 2048), query_limit(512, 2048)
    (2048, 512)
    """
    return tuning_max_tokens if max_tokens is None else min(max_tokens, tuning_max_tokens)
