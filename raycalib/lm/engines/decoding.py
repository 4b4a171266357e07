"""Greedy decoding of many texts: those whose answer has ended leave, others take their places."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from raycalib.lm.batching import length_batches, tokens_at_once
from raycalib.lm.engines.answer_end import GrowingAnswer, Spelling
from raycalib.lm.engines.first_reader import FirstReader
from raycalib.lm.engines.kv_rows import KvRows, states_of
from raycalib.lm.engines.memory import TOO_LARGE, TokenBudget, is_out_of_memory, release_memory
from raycalib.lm.engines.requests import Generation, TokenCounts, failed_generation

LEAVE_SHARE = 0.5
"""Ended answers leave once they are this share of a batch: then each copy of the rest is paid for."""


class Choice(NamedTuple):
    """The most likely token of each row: ids (B,), and as lists ids, log-probabilities and margins."""

    tokens: Tensor
    ids: list[int]
    gains: list[float]
    margins: list[float]


def choose(logits: Tensor) -> Choice:
    """The most likely tokens, in float32; of equal ones the first. Overwrites (B, V) logits.

    A log-probability is -log(1 + e^(rest - best)) in float64, where e^rest is the sum over all other tokens: taken from
    the whole sum in float32, whatever is surer than 1 - 1e-6 would be equally sure. It is NaN where the best logit is
    not finite.
    """
    scores = logits.float()
    tokens = scores.argmax(dim=-1)
    best = scores.gather(1, tokens[:, None])[:, 0]
    others = scores.scatter_(1, tokens[:, None], -torch.inf)
    margins = best - others.amax(dim=-1)
    rest = (others.logsumexp(dim=-1) - best).double()
    gains = torch.where(best.isfinite(), -functional.softplus(rest, threshold=50.0), torch.nan)
    return Choice(tokens, tokens.tolist(), gains.tolist(), margins.tolist())


@dataclass(eq=False)
class _Row:
    """A text while it is answered; ``length`` of its tokens are in the cache, ``token`` is read next."""

    index: int
    ids: Sequence[int]
    answer: GrowingAnswer[int]
    length: int = 0
    n_chosen: int = 0
    token: int = 0


class Decoder:
    """Decodes texts in one batch whose places are filled again as answers end."""

    def __init__(
        self,
        reader: FirstReader,
        spelling: Spelling[int],
        max_new_tokens: int,
        budget: TokenBudget,
        counts: TokenCounts,
    ) -> None:
        """The budget is for texts, answers and padding together; ``counts`` grows with what is done."""
        self.reader, self.model, self.spelling = reader, reader.model, spelling
        self.max_new_tokens = max_new_tokens
        self.budget, self.counts = budget, counts
        self._rows: list[_Row] = []
        self._kv: KvRows | None = None
        self._is_alone = False

    def decode(self, texts: Mapping[int, Sequence[int]]) -> dict[int, Generation]:
        """Generations by index; a text that does not fit alone has ``error`` set.

        Raises:
            RuntimeError: of the device, unless memory ran out.
        """
        results: dict[int, Generation] = {}
        waiting = self._queue([self._new(index, ids) for index, ids in texts.items()])
        while waiting or self._rows:
            failed = False
            try:
                self._round(waiting, results)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                failed = True
            if failed:  # out of the except block, whose error holds on to the memory
                waiting = self._shrink(waiting, results)
        return results

    def _new(self, index: int, ids: Sequence[int]) -> _Row:
        return _Row(index, ids, GrowingAnswer(self.spelling))

    @staticmethod
    def _queue(rows: Sequence[_Row]) -> deque[_Row]:
        """Longest first: what comes later then fits into the columns that are there."""
        return deque(sorted(rows, key=lambda row: (-len(row.ids), row.index)))

    def _round(self, waiting: deque[_Row], results: dict[int, Generation]) -> None:
        """Fills the batch, then decodes until enough answers have ended."""
        self._fill(waiting)
        while sum(not self._ended(row) for row in self._rows) > (1 - LEAVE_SHARE) * len(self._rows):
            self._step()
        results.update((row.index, row.answer.result()) for row in self._rows if self._ended(row))
        if all(self._ended(row) for row in self._rows):
            self._rows, self._kv = [], None

    def _ended(self, row: _Row) -> bool:
        return row.answer.stopped or row.n_chosen >= self.max_new_tokens

    def _fill(self, waiting: deque[_Row]) -> None:
        """A new batch from the rows that go on and those that waited."""
        places = [place for place, row in enumerate(self._rows) if not self._ended(row)]
        live = [self._rows[place] for place in places]
        new = self._take(waiting, live)
        self._rows, old = [*live, *new], self._kv
        self._is_alone = len(self._rows) == 1 and old is None
        end = max(row.length or len(row.ids) for row in self._rows)
        room = max(self.max_new_tokens - max(1, row.n_chosen) for row in self._rows)
        self._kv = KvRows(len(self._rows), end, room, self.model.device)
        if old is not None and live:
            lengths = [row.length for row in live]
            self._kv.write(0, old.rows(places, max(lengths)), lengths)
        del old
        at_once = tokens_at_once(self.budget.tokens, self.model.device)
        first = len(live)
        ordered = [[new[place] for place in batch] for batch in length_batches([len(row.ids) for row in new], at_once)]
        self._rows[first:] = [row for part in ordered for row in part]
        for part in ordered:
            self._read(part, first)
            first += len(part)

    def _take(self, waiting: deque[_Row], live: Sequence[_Row]) -> list[_Row]:
        taken: list[_Row] = []
        longest = max((row.length for row in live), default=0)
        while waiting:
            longest = max(longest, len(waiting[0].ids))
            n_rows = len(live) + len(taken) + 1
            if n_rows > 1 and n_rows * (longest + self.max_new_tokens) > self.budget.tokens:
                break
            taken.append(waiting.popleft())
        return taken

    def _read(self, rows: Sequence[_Row], first: int) -> None:
        """Reads texts, puts their keys and values in place and chooses their first tokens."""
        assert self._kv is not None
        cache = DynamicCache()
        texts = [row.ids for row in rows]
        choice = choose(self.reader.logits(texts, cache))
        lengths = [len(ids) for ids in texts]
        self._kv.write(first, states_of(cache), lengths)
        self.counts.tokens_read += sum(lengths)
        self.counts.padded_positions += len(rows) * max(lengths) - sum(lengths)
        for row, length in zip(rows, lengths, strict=True):
            row.length = length
        self._add(rows, choice)

    def _step(self) -> None:
        assert self._kv is not None
        tokens = torch.tensor([row.token for row in self._rows], device=self.model.device)
        self.counts.padded_positions += sum(self._ended(row) for row in self._rows)
        choice = choose(self._kv.step(self.model, tokens))
        for row in self._rows:
            row.length += 1
        self._add(self._rows, choice)

    def _add(self, rows: Sequence[_Row], choice: Choice) -> None:
        for row, token, gain, margin in zip(rows, choice.ids, choice.gains, choice.margins, strict=True):
            if not self._ended(row):
                row.answer.add(token, gain, margin)
                row.n_chosen += 1
                self.counts.tokens_generated += 1
            row.token = token

    def _shrink(self, waiting: deque[_Row], results: dict[int, Generation]) -> deque[_Row]:
        """After memory ran out: what was in work starts again in smaller batches, or fails if it was alone."""
        rows, self._rows, self._kv = self._rows, [], None
        release_memory()
        results.update((row.index, row.answer.result()) for row in rows if self._ended(row))
        unfinished = [self._new(row.index, row.ids) for row in rows if not self._ended(row)]
        if self._is_alone and unfinished:
            results[rows[0].index] = failed_generation(TOO_LARGE)
            return waiting
        self.budget.halve()
        return self._queue([*waiting, *unfinished])
