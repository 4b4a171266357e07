"""What every engine is asked and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
import math
from typing import Protocol


@dataclass(frozen=True)
class GenerationRequest:
    """A text to continue; with options, one token is read and each option's letter is scored.

    Attributes:
        text: what the model reads.
        n_options: of the question.
        kept: end of the text that is not cut where the text is too long: the target prompt.
        add_special_tokens: whether the tokenizer adds its BOS; the text of a chat template has it already.
    """

    text: str
    n_options: int = 0
    kept: str = ""
    add_special_tokens: bool = True


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What came out.

    Attributes:
        output: the text as generated.
        n_answer_tokens: tokens before the line break that ended the answer.
        log_likelihood: sum of their log-probabilities, nats; of the token that ended it, where the answer is empty;
            None where the engine cannot tell.
        option_log_likelihoods: of the options' letters, where there are options and the engine can tell.
        finish_reason: ``stop`` at a line break or the end of text, else ``length``; ``error`` where there is no answer.
        n_cut: tokens cut from the left of the text, since it was longer than the model can read.
        min_margin: the smallest distance between the two best logits over the tokens chosen, the one that ended the
            answer among them: how little could have changed it. None where the engine cannot tell.
        error: why there is no answer; None where there is one.
    """

    output: str
    n_answer_tokens: int
    log_likelihood: float | None
    option_log_likelihoods: tuple[float, ...]
    finish_reason: str
    n_cut: int = 0
    min_margin: float | None = None
    error: str | None = None


NOT_FINITE = (
    "the model's logits or log-likelihoods are not finite (NaN or infinite); try --dtype float32, and look at this row"
)


def failed_generation(error: str) -> Generation:
    """The generation of a text that cannot be answered."""
    return Generation(
        output="",
        n_answer_tokens=0,
        log_likelihood=None,
        option_log_likelihoods=(),
        finish_reason="error",
        error=error,
    )


def or_not_finite(done: Generation) -> Generation:
    """The generation; without an answer where its likelihood, or that of an option, is not finite."""
    known = (done.log_likelihood, *done.option_log_likelihoods)
    return done if all(math.isfinite(each) for each in known if each is not None) else failed_generation(NOT_FINITE)


@dataclass(kw_only=True)
class TokenCounts:
    """What an engine has done; whole numbers that only grow.

    Attributes:
        tokens_read: of the texts, padding not counted.
        tokens_generated: chosen for texts that were still being answered.
        padded_positions: computed for nothing: padding, and texts whose answer had ended.
        memory_retries: batches that ran out of memory and were made again in smaller ones.
    """

    tokens_read: int = 0
    tokens_generated: int = 0
    padded_positions: int = 0
    memory_retries: int = 0

    def since(self, earlier: "TokenCounts") -> "TokenCounts":
        """What was done after an earlier moment."""
        return TokenCounts(
            **{item.name: getattr(self, item.name) - getattr(earlier, item.name) for item in fields(self)}
        )


class Engine(Protocol):
    """Answers texts greedily."""

    counts: TokenCounts

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """One generation per request, in the order given; a text that cannot be answered has ``error`` set."""
