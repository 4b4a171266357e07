"""Greedy generation of answers, and their likelihood under the model that gave them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.batching import DEFAULT_MAX_BATCH_TOKENS, length_batches, pad_left
from raycalib.lm.label_tokens import letter_tokens
from raycalib.lm.loading import pad_token_id
from raycalib.lm.window import FittedText, context_window, fit_left
from raycalib.prompts import sanitize

USUAL_OPTIONS = 10


@dataclass(frozen=True)
class GenerationRequest:
    """A text to continue; with options, one token is read and each option's letter is scored.

    Attributes:
        text: what the model reads.
        n_options: of the question.
        kept: end of the text that is not cut where the text is too long: the target prompt.
    """

    text: str
    n_options: int = 0
    kept: str = ""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What came out.

    Attributes:
        output: the text as generated.
        n_answer_tokens: tokens before the line break that ended the answer.
        log_likelihood: sum of their log-probabilities, nats; of the token that ended it, where the answer is empty.
        option_log_likelihoods: of the options' letters, where there are options.
        finish_reason: ``stop`` at a line break or the end of text, else ``length``.
        n_cut: tokens cut from the left of the text, since it was longer than the model can read.
    """

    output: str
    n_answer_tokens: int
    log_likelihood: float
    option_log_likelihoods: tuple[float, ...]
    finish_reason: str
    n_cut: int = 0


class GreedyGenerator:
    """Answers texts greedily in length-sorted batches."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_new_tokens: int,
        max_batch_tokens: int = DEFAULT_MAX_BATCH_TOKENS,
        max_tokens: int | None = None,
    ) -> None:
        """Texts and their answers together stay within ``max_tokens`` and the model's window."""
        self.model = model
        self.tokenizer = tokenizer
        self.max_new_tokens = max_new_tokens
        self.max_batch_tokens = max_batch_tokens
        self._pad = pad_token_id(tokenizer)
        self._stops = stop_tokens(model, tokenizer)
        self._window = context_window(model, max_tokens)
        self._letters = letter_tokens(tokenizer, ascii_lowercase[:USUAL_OPTIONS])

    @torch.inference_mode()
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """One generation per request, in the order given.

        Raises:
            ValueError: a target prompt alone is longer than the model can read.
            ModelError: there are more options than letters with tokens of their own.
        """
        fitted = [self._fitted(request) for request in requests]
        ids = [fit.ids for fit in fitted]
        most_options = max((request.n_options for request in requests), default=0)
        if most_options > len(self._letters):
            self._letters = letter_tokens(self.tokenizer, ascii_lowercase[:most_options])
        results: dict[int, Generation] = {}
        for with_options in (False, True):
            chosen = [i for i, request in enumerate(requests) if (request.n_options > 0) == with_options]
            growth = 1 if with_options else self.max_new_tokens
            for batch in length_batches([len(ids[i]) + growth for i in chosen], self.max_batch_tokens):
                members = [chosen[place] for place in batch]
                texts = [ids[i] for i in members]
                if with_options:
                    done = self._read_letters(texts, [requests[i].n_options for i in members])
                else:
                    done = self._decode(texts)
                results.update(zip(members, done, strict=True))
        return [replace(results[index], n_cut=fit.n_cut) for index, fit in enumerate(fitted)]

    def _fitted(self, request: GenerationRequest) -> FittedText:
        growth = 1 if request.n_options else self.max_new_tokens
        most = None if self._window is None else self._window - growth
        return fit_left(self.tokenizer, request.text, request.kept, most)

    def _first_step(self, texts: list[list[int]]) -> tuple[Tensor, Tensor, object]:
        """Log-probabilities of each text's next token (B, V), the mask so far, and the cache."""
        ids, mask = (part.to(self.model.device) for part in pad_left(texts, self._pad))
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1].float().log_softmax(dim=-1), mask, out.past_key_values

    def _read_letters(self, texts: list[list[int]], n_options: list[int]) -> list[Generation]:
        log_probs, _, _ = self._first_step(texts)
        best = log_probs.argmax(dim=-1)
        return [
            Generation(
                output=self.tokenizer.decode([int(token)]),
                n_answer_tokens=1,
                log_likelihood=float(log_probs[row, token]),
                option_log_likelihoods=tuple(log_probs[row, self._letters[: n_options[row]]].tolist()),
                finish_reason="stop",
            )
            for row, token in enumerate(best)
        ]

    def _decode(self, texts: list[list[int]]) -> list[Generation]:
        log_probs, mask, cache = self._first_step(texts)
        decoding = [_Decoding(self.tokenizer, self._stops) for _ in texts]
        positions = mask.sum(dim=1)
        for step in range(self.max_new_tokens):
            best = log_probs.argmax(dim=-1)
            gains = log_probs.gather(1, best[:, None])[:, 0].tolist()
            for row, (token, gain) in enumerate(zip(best.tolist(), gains, strict=True)):
                decoding[row].add(token, gain)
            if step + 1 == self.max_new_tokens or all(state.stopped for state in decoding):
                break
            mask = torch.cat([mask, mask.new_ones(len(texts), 1)], dim=1)
            out = self.model(
                input_ids=best[:, None],
                attention_mask=mask,
                position_ids=positions[:, None],
                past_key_values=cache,
                use_cache=True,
            )
            positions = positions + 1
            log_probs = out.logits[:, -1].float().log_softmax(dim=-1)
        return [state.result() for state in decoding]


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a text: the tokenizer's, and those of the model's generation settings (Llama 3 has three)."""
    settings = getattr(model, "generation_config", None)
    listed = getattr(settings, "eos_token_id", None)
    several = listed if isinstance(listed, list) else [listed]
    return frozenset(int(token) for token in (*several, tokenizer.eos_token_id) if token is not None)


class _Decoding:
    """One row while it is decoded."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int]) -> None:
        self.tokenizer = tokenizer
        self.stops = stops
        self.tokens: list[int] = []
        self.gains: list[float] = []
        self.n_answer_tokens = 0
        self.stopped = False
        self.first_gain: float | None = None

    def add(self, token: int, gain: float) -> None:
        if self.stopped:
            return
        self.first_gain = gain if self.first_gain is None else self.first_gain
        ended = token in self.stops
        if not ended:
            self.tokens.append(token)
            self.gains.append(gain)
            piece = self.tokenizer.decode([token])
            ended = "\n" in piece and _cut_here(self._text())
            if not ended or piece.split("\n")[0].strip():
                self.n_answer_tokens = len(self.tokens)
        self.stopped = ended

    def _text(self) -> str:
        text: str = self.tokenizer.decode(self.tokens, skip_special_tokens=True)
        return text

    def result(self) -> Generation:
        return Generation(
            output=self._text(),
            n_answer_tokens=self.n_answer_tokens,
            log_likelihood=sum(self.gains[: self.n_answer_tokens]) if self.n_answer_tokens else self.first_gain or 0.0,
            option_log_likelihoods=(),
            finish_reason="stop" if self.stopped else "length",
        )


def _cut_here(text: str) -> bool:
    """Whether nothing generated after this text could change its sanitized first line."""
    answer = sanitize(text)
    return bool(answer) and answer == sanitize(text + "x") == sanitize(text + "\nx")
