"""Asks a model the uncertainty query, and reads its last hidden state after the answer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.batching import DEFAULT_MAX_BATCH_TOKENS, tokens_at_once
from raycalib.lm.engines.memory import TOO_LARGE, TokenBudget, in_batches
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import pad_token_id
from raycalib.lm.logits import label_logits, state_size, states_at
from raycalib.lm.logits_check import can_read_alone, check_query_logits
from raycalib.lm.query_tokens import QueryTokens, query_tokens
from raycalib.lm.window import TooLongError, context_window
from raycalib.prompts import TARGET_PROMPT

NOT_FINITE = (
    "the model's query logits or hidden state are not finite (NaN or infinite); "
    "try --dtype float32, and look at this row"
)


class QueryScores(NamedTuple):
    """For N answers: (N, 2) float64 logits of ``i`` (no) and ``ii`` (yes), and (N, H) float32 states.

    Of texts longer than the model can read, ``n_cut`` (N,) tokens of the left were left out. ``errors`` (N,) says why a
    row has neither logits nor a state, which are NaN then; None where it has them.
    """

    logits: np.ndarray
    states: np.ndarray
    n_cut: list[int]
    errors: list[str | None]


class _Read(NamedTuple):
    """(2,) logits and (H,) state of one row."""

    logits: np.ndarray
    state: np.ndarray


class QueryScorer:
    """Scores proposed answers with a model, adapted or not, in length-sorted batches.

    Attributes:
        budget: positions of a batch; smaller once memory has run out.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_batch_tokens: int = DEFAULT_MAX_BATCH_TOKENS,
        max_tokens: int | None = None,
    ) -> None:
        """No text is longer than ``max_tokens`` and the model's window.

        Raises:
            ModelError: the model's logits are not what is read of its hidden states.
        """
        self.model = model
        self.tokenizer = tokenizer
        self.budget = TokenBudget(max_batch_tokens)
        self._labels = list(query_label_tokens(tokenizer))
        self._pad = pad_token_id(tokenizer)
        self._window = context_window(model, max_tokens)
        check_query_logits(model, tokenizer)
        self._is_narrow = can_read_alone(model, tokenizer)

    @torch.inference_mode()
    def score(
        self, example_texts: Sequence[str], answers: Sequence[str], target_prompts: Sequence[str] | None = None
    ) -> QueryScores:
        """Query logits and the last hidden state (after the final norm) at the answer's last token.

        Where the answered text is a prefix of the query in tokens, one pass gives both. A row whose target prompt,
        answer and query alone are longer than the model can read, that alone runs out of memory, or whose logits or
        state are not finite, has its error.

        Args:
            example_texts: ending with their target prompts.
            answers: proposed answers.
            target_prompts: of the texts; they are not cut where a text is too long. None is ``TARGET_PROMPT`` for all.
        """
        cues = [TARGET_PROMPT] * len(answers) if target_prompts is None else target_prompts
        tokens: dict[int, QueryTokens] = {}
        errors: dict[int, str] = {}
        for index, (text, answer, cue) in enumerate(zip(example_texts, answers, cues, strict=True)):
            try:
                tokens[index] = query_tokens(self.tokenizer, text, answer, cue, self._window)
            except TooLongError as error:
                errors[index] = f"ValueError: {error}"
        found = self._read(tokens)
        logits = np.full((len(answers), 2), np.nan)
        states = np.full((len(answers), state_size(self.model)), np.nan, dtype=np.float32)
        for index, read in found.items():
            if read is None:
                errors[index] = TOO_LARGE
            elif not (np.isfinite(read.logits).all() and np.isfinite(read.state).all()):
                errors[index] = NOT_FINITE
            else:
                logits[index], states[index] = read
        n_cut = [tokens[index].n_cut if index in tokens else 0 for index in range(len(answers))]
        return QueryScores(logits, states, n_cut, [errors.get(index) for index in range(len(answers))])

    def _read(self, tokens: dict[int, QueryTokens]) -> dict[int, _Read | None]:
        """What the model says of each row; None where it does not fit into memory alone."""
        apart = {index for index, row in tokens.items() if row.query[: len(row.answered)] != row.answered}
        ends = {index: 0 if index in apart else len(row.answered) - 1 for index, row in tokens.items()}

        def queried(batch: list[int]) -> list[_Read]:
            ids = [tokens[index].query for index in batch]
            places = [(len(row) - 1, ends[index]) for row, index in zip(ids, batch, strict=True)]
            hidden = states_at(self.model, ids, places, self._pad, self._is_narrow)
            pairs = label_logits(self.model, hidden[:, 0], self._labels)
            return [_Read(*both) for both in zip(pairs.double().cpu().numpy(), _float32(hidden[:, 1]), strict=True)]

        def answered(batch: list[int]) -> list[np.ndarray]:
            ids = [tokens[index].answered for index in batch]
            places = [(len(row) - 1,) for row in ids]
            return list(_float32(states_at(self.model, ids, places, self._pad, self._is_narrow)[:, 0]))

        found = in_batches({i: len(row.query) for i, row in tokens.items()}, self.budget, queried, self._at_once)
        after = in_batches({i: len(tokens[i].answered) for i in sorted(apart)}, self.budget, answered, self._at_once)
        for index, state in after.items():
            read = found[index]
            found[index] = None if state is None or read is None else read._replace(state=state)
        return found

    def _at_once(self, tokens: int) -> int:
        return tokens_at_once(tokens, self.model.device)


def _float32(states: Tensor) -> np.ndarray:
    array: np.ndarray = states.float().cpu().numpy()
    return array
