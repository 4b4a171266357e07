"""Asks a model the uncertainty query, and reads its last hidden state after the answer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.batching import DEFAULT_MAX_BATCH_TOKENS, length_batches, pad_right, tokens_at_once
from raycalib.lm.label_tokens import label_logits, query_label_tokens, soft_capped
from raycalib.lm.loading import pad_token_id
from raycalib.lm.window import context_window, fit_left, without_left
from raycalib.prompts import TARGET_PROMPT, query_text


class QueryScores(NamedTuple):
    """For N answers: (N, 2) float64 logits of ``i`` (no) and ``ii`` (yes), and (N, H) float32 states.

    Of texts longer than the model can read, ``n_cut`` (N,) tokens of the left were left out.
    """

    logits: np.ndarray
    states: np.ndarray
    n_cut: list[int]


class QueryScorer:
    """Scores proposed answers with a model, adapted or not, in length-sorted batches."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_batch_tokens: int = DEFAULT_MAX_BATCH_TOKENS,
        max_tokens: int | None = None,
    ) -> None:
        """No text is longer than ``max_tokens`` and the model's window."""
        self.model = model
        self.tokenizer = tokenizer
        self.max_batch_tokens = max_batch_tokens
        self._labels = list(query_label_tokens(tokenizer))
        self._pad = pad_token_id(tokenizer)
        self._window = context_window(model, max_tokens)

    @torch.inference_mode()
    def score(
        self, example_texts: Sequence[str], answers: Sequence[str], target_prompts: Sequence[str] | None = None
    ) -> QueryScores:
        """Query logits and the last hidden state (after the final norm) at the answer's last token.

        Where the answered text is a prefix of the query in tokens, one pass gives both.

        Args:
            example_texts: ending with their target prompts.
            answers: proposed answers.
            target_prompts: of the texts; they are not cut where a text is too long. None is ``TARGET_PROMPT`` for all.

        Raises:
            ValueError: a target prompt, answer and query alone are longer than the model can read.
        """
        queries: list[list[int]] = []
        ends: list[int] = []
        n_cut: list[int] = []
        apart: dict[int, list[int]] = {}
        cues = [TARGET_PROMPT] * len(answers) if target_prompts is None else target_prompts
        for index, (text, answer, cue) in enumerate(zip(example_texts, answers, cues, strict=True)):
            whole = query_text(text, answer)
            query, cut = fit_left(self.tokenizer, whole, query_text(cue, answer), self._window)
            answered = without_left(self.tokenizer, self.tokenizer(f"{text} {answer}".strip())["input_ids"], cut)
            n_cut.append(cut)
            if query[: len(answered)] != answered:
                apart[index] = answered
            queries.append(query)
            ends.append(len(answered) - 1)
        logits = np.zeros((len(queries), 2))
        states = np.zeros((len(queries), self.model.config.hidden_size), dtype=np.float32)
        at_once = tokens_at_once(self.max_batch_tokens, self.model.device)
        for batch in length_batches([len(ids) for ids in queries], at_once):
            hidden = self._hidden([queries[i] for i in batch])
            rows = torch.arange(len(batch))
            last = hidden[rows, [len(queries[i]) - 1 for i in batch]]
            head = self.model.get_output_embeddings()
            found = soft_capped(label_logits(head, last, self._labels), self.model.config)
            logits[batch] = found.double().cpu().numpy()
            states[batch] = hidden[rows, [ends[i] if i not in apart else 0 for i in batch]].float().cpu().numpy()
        for batch in length_batches([len(ids) for ids in apart.values()], at_once):
            members = [list(apart)[place] for place in batch]
            hidden = self._hidden([apart[i] for i in members])
            states[members] = (
                hidden[torch.arange(len(members)), [len(apart[i]) - 1 for i in members]].float().cpu().numpy()
            )
        return QueryScores(logits, states, n_cut)

    def _hidden(self, ids: list[list[int]]) -> torch.Tensor:
        """(B, S, H) final hidden states."""
        decoder = self.model.get_submodule("model")
        padded = pad_right(ids, self._pad).to(self.model.device)
        states: torch.Tensor = decoder(input_ids=padded, use_cache=False).last_hidden_state
        return states
