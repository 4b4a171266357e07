"""Where an answer ends: the same rule for every engine, while decoding or after the fact."""

from collections.abc import Sequence
import math
from typing import Generic, NamedTuple, Protocol, TypeVar

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.engines.requests import NOT_FINITE, Generation, failed_generation
from raycalib.prompts import sanitize

LINE_BREAK = "\n"
Token = TypeVar("Token")
SpelledToken = TypeVar("SpelledToken", contravariant=True)


class Piece(NamedTuple):
    """What a token does to an answer: whether it breaks a line, and whether there is text before the break."""

    breaks: bool
    says_something_first: bool


class Spelling(Protocol[SpelledToken]):
    """How tokens are spelled; a token is an id or, of a remote server, its text."""

    def ends(self, token: SpelledToken) -> bool:
        """Whether it ends the text."""

    def piece(self, token: SpelledToken) -> Piece:
        """What it does to an answer."""

    def text(self, tokens: Sequence[SpelledToken]) -> str:
        """The tokens' text."""


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a text: the tokenizer's, and those of the model's generation settings (Llama 3 has three)."""
    return end_tokens(getattr(model, "generation_config", None), tokenizer)


def end_tokens(settings: object, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a text, from generation settings, which may be None, and the tokenizer."""
    listed = getattr(settings, "eos_token_id", None)
    several = listed if isinstance(listed, list) else [listed]
    return frozenset(int(token) for token in (*several, tokenizer.eos_token_id) if token is not None)


def piece_of(text: str) -> Piece:
    """What a token of this text does to an answer."""
    before, line_break, _ = text.partition("\n")
    return Piece(bool(line_break), bool(before.strip()))


class TokenizerSpelling:
    """Token ids as a tokenizer spells them; each is asked for once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int]) -> None:
        self.tokenizer = tokenizer
        self.stops = stops
        self._pieces: dict[int, Piece] = {}

    def ends(self, token: int) -> bool:
        """Whether it is one of the model's ends of text."""
        return token in self.stops

    def piece(self, token: int) -> Piece:
        """What the token does, spelled alone."""
        if token not in self._pieces:
            self._pieces[token] = piece_of(self.tokenizer.decode([token]))
        return self._pieces[token]

    def text(self, tokens: Sequence[int]) -> str:
        """The text without special tokens."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text


class GrowingAnswer(Generic[Token]):
    """One answer while its tokens come in.

    Attributes:
        stopped: whether what follows cannot change the answer; further tokens are not taken.
    """

    def __init__(self, spelling: Spelling[Token]) -> None:
        self.stopped = False
        self._spelling = spelling
        self._tokens: list[Token] = []
        self._gains: list[float] = []
        self._n_answer_tokens = 0
        self._first_gain: float | None = None
        self._min_margin: float | None = None
        self._is_finite = True

    def add(self, token: Token, gain: float, margin: float | None = None) -> None:
        """Takes the next token.

        Args:
            token: the one chosen.
            gain: its log-probability, nats.
            margin: its logit minus the second best.
        """
        if self.stopped:
            return
        self._weigh(gain, margin)
        if self._spelling.ends(token) or not math.isfinite(gain):  # what follows would be read from nonsense
            self.stopped = True
            return
        self._take(token, gain)

    def end(self, gain: float, margin: float | None = None) -> None:
        """Takes the token that ended the answer and is not part of its text; see ``add``."""
        self._weigh(gain, margin)
        self.stopped = True

    def _weigh(self, gain: float, margin: float | None) -> None:
        self._is_finite = self._is_finite and math.isfinite(gain)
        self._first_gain = gain if self._first_gain is None else self._first_gain
        if margin is not None:
            self._min_margin = margin if self._min_margin is None else min(self._min_margin, margin)

    def _take(self, token: Token, gain: float) -> None:
        self._tokens.append(token)
        self._gains.append(gain)
        piece = self._spelling.piece(token)
        self.stopped = piece.breaks and ends_here(self._spelling.text(self._tokens))
        if not self.stopped or piece.says_something_first:
            self._n_answer_tokens = len(self._tokens)

    def result(self) -> Generation:
        """The generation so far; without an answer where a log-probability is not finite."""
        if not self._is_finite:
            return failed_generation(NOT_FINITE)
        kept = self._n_answer_tokens
        return Generation(
            output=self._spelling.text(self._tokens),
            n_answer_tokens=kept,
            log_likelihood=sum(self._gains[:kept]) if kept else self._first_gain or 0.0,
            option_log_likelihoods=(),
            finish_reason="stop" if self.stopped else "length",
            min_margin=self._min_margin,
        )


def ends_here(text: str) -> bool:
    """Whether nothing generated after this text could change its sanitized first line."""
    answer = sanitize(text)
    return bool(answer) and answer == sanitize(text + "x") == sanitize(text + "\nx")
