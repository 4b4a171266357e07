"""The default engine: transformers, on a GPU or a CPU."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from string import ascii_lowercase

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.batching import DEFAULT_MAX_BATCH_TOKENS, tokens_at_once
from raycalib.lm.engines.answer_end import TokenizerSpelling, stop_tokens
from raycalib.lm.engines.decoding import Decoder, choose
from raycalib.lm.engines.first_reader import FirstReader
from raycalib.lm.engines.kv_rows import has_simple_cache
from raycalib.lm.engines.memory import TOO_LARGE, TokenBudget, in_batches
from raycalib.lm.engines.own_cache import decode_together
from raycalib.lm.engines.requests import Generation, GenerationRequest, TokenCounts, failed_generation, or_not_finite
from raycalib.lm.label_tokens import letter_tokens
from raycalib.lm.loading import pad_token_id
from raycalib.lm.logits import label_logits
from raycalib.lm.window import FittedText, context_window, fit_left

USUAL_OPTIONS = 10
SHORT_DTYPES = (torch.bfloat16, torch.float16)


class GreedyGenerator:
    """Answers texts greedily in length-sorted batches.

    Attributes:
        counts: what has been done so far.
        budget: positions of a batch; smaller once memory has run out.
    """

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
        self.counts = TokenCounts()
        self.budget = TokenBudget(max_batch_tokens)
        self._reader = FirstReader(model, pad_token_id(tokenizer))
        self._spelling = TokenizerSpelling(tokenizer, stop_tokens(model, tokenizer))
        self._window = context_window(model, max_tokens)
        self._letters = letter_tokens(tokenizer, ascii_lowercase[:USUAL_OPTIONS])

    @torch.inference_mode()
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """One generation per request, in the order given.

        A text whose target prompt alone is longer than the model can read, or that alone runs out of memory, has
        ``error`` set.

        Raises:
            ModelError: there are more options than letters with tokens of their own.
        """
        most_options = max((request.n_options for request in requests), default=0)
        if most_options > len(self._letters):
            self._letters = letter_tokens(self.tokenizer, ascii_lowercase[:most_options])
        results: dict[int, Generation] = {}
        fitted: dict[int, FittedText] = {}
        for index, request in enumerate(requests):
            try:
                fitted[index] = self._fitted(request)
            except ValueError as error:
                results[index] = failed_generation(f"ValueError: {error}")
        texts = {index: fit.ids for index, fit in fitted.items() if not requests[index].n_options}
        results.update(self._decode(texts))
        choices = {index: (fit.ids, requests[index].n_options) for index, fit in fitted.items() if index not in texts}
        results.update(self._choose_letters(choices))
        self.counts.memory_retries = self.budget.n_halved
        return [
            replace(results[index], n_cut=fitted[index].n_cut) if index in fitted else results[index]
            for index in range(len(requests))
        ]

    def _fitted(self, request: GenerationRequest) -> FittedText:
        growth = 1 if request.n_options else self.max_new_tokens
        most = None if self._window is None else self._window - growth
        return fit_left(self.tokenizer, request.text, request.kept, most, request.add_special_tokens)

    def _decode(self, texts: dict[int, list[int]]) -> dict[int, Generation]:
        if has_simple_cache(self.model):
            decoder = Decoder(self._reader, self._spelling, self.max_new_tokens, self.budget, self.counts)
            return decoder.decode(texts)
        shared = (self.model, self._spelling, self._reader.pad, self.max_new_tokens)
        lengths = {index: len(ids) + self.max_new_tokens for index, ids in texts.items()}
        return self._batched(
            lengths, lambda batch: decode_together(*shared, self.counts, [texts[index] for index in batch])
        )

    def _choose_letters(self, choices: dict[int, tuple[list[int], int]]) -> dict[int, Generation]:
        lengths = {index: len(ids) for index, (ids, _) in choices.items()}
        return self._batched(
            lengths,
            lambda batch: self._read_letters([choices[index] for index in batch]),
            lambda tokens: tokens_at_once(tokens, self.model.device),
        )

    def _batched(
        self,
        lengths: dict[int, int],
        do: Callable[[list[int]], list[Generation]],
        within: Callable[[int], int] = int,
    ) -> dict[int, Generation]:
        done = in_batches(lengths, self.budget, do, within)
        return {index: one or failed_generation(TOO_LARGE) for index, one in done.items()}

    def _read_letters(self, choices: Sequence[tuple[list[int], int]]) -> list[Generation]:
        texts = [ids for ids, _ in choices]
        logits, letters = self._first_logits(texts)
        n_tokens = sum(map(len, texts))
        self.counts.tokens_read += n_tokens
        self.counts.tokens_generated += len(texts)
        self.counts.padded_positions += len(texts) * max(map(len, texts)) - n_tokens
        choice = choose(logits)
        return [
            or_not_finite(
                Generation(
                    output=self.tokenizer.decode([token]),
                    n_answer_tokens=1,
                    log_likelihood=gain,
                    option_log_likelihoods=tuple(of_letters[:n_options]),
                    finish_reason="stop",
                    min_margin=margin,
                )
            )
            for token, gain, margin, of_letters, (_, n_options) in zip(
                choice.ids, choice.gains, choice.margins, letters, choices, strict=True
            )
        ]

    def _first_logits(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, list[list[float]]]:
        """(B, V) float32 logits behind each text, and the letters' log-probabilities.

        A head of 16 bits rounds logits of 16 to 32 to steps of 0.125, so that options tie: those of letters are made
        again, as those of the query are. What is answered stays what the model's own logits say.
        """
        if self.model.dtype not in SHORT_DTYPES:
            logits = self._reader.logits(texts, None).float()
            letters = logits[:, self._letters]
            return logits, (letters - logits.logsumexp(dim=-1, keepdim=True)).tolist()
        rounded, states = self._reader.logits_and_states(texts)
        logits = rounded.float()
        letters = logits[:, self._letters] if states is None else label_logits(self.model, states, self._letters)
        whole = logits.index_copy(1, torch.tensor(self._letters, device=logits.device), letters)
        return logits, (letters - whole.logsumexp(dim=-1, keepdim=True)).tolist()
