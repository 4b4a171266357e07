"""Shared-prefix rows: the query text and the KL text of one labelled answer in one sequence.

Both texts start with the same tokens (the question). A row is laid out as

    [shared prefix | rest of the query text | rest of the KL text]

with position ids that restart after the prefix and a mask that keeps the two branches apart, so one pass reads both.
Shapes: B rows, S tokens of the longest row, T scored KL positions of the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from raycalib.lm.label_tokens import common_prefix_length
from raycalib.lm.window import without_left
from raycalib.prompts import Example, query_text


class TooLongError(ValueError):
    """What is never cut of a labelled answer is longer than the model reads."""


@dataclass(frozen=True, kw_only=True)
class TuningRow:
    """One labelled answer as token ids.

    Attributes:
        row_id: of the question.
        query_ids: the uncertainty query about the answer.
        kl_ids: the question with its true answer.
        n_target: trailing tokens of ``kl_ids`` that belong to the true answer.
        label: 1 if the answer is correct, else 0.
    """

    row_id: str
    query_ids: tuple[int, ...]
    kl_ids: tuple[int, ...]
    n_target: int
    label: int

    @property
    def shared(self) -> int:
        """Tokens that the two texts share, at least one of each branch's own left out of it."""
        return common_prefix_length(self.query_ids[:-1], self.kl_ids[:-1])

    @property
    def length(self) -> int:
        """Tokens of the row in the shared-prefix layout."""
        return len(self.query_ids) + len(self.kl_ids) - self.shared


def tuning_row(
    tokenizer: PreTrainedTokenizerBase, row_id: str, example: Example, answer: str, label: int, max_tokens: int
) -> tuple[TuningRow, int]:
    """The row of one labelled answer, and how many tokens of its context were cut from the left to fit.

    The few-shot header is not read, as in the paper. Target prompt, answers and query are never cut.

    Raises:
        TooLongError: they alone are longer than ``max_tokens``.
    """
    plain = Example(context=example.context, target=example.target, target_prompt=example.target_prompt)
    query_ids = list(tokenizer(query_text(plain.text(), answer))["input_ids"])
    context_ids = list(tokenizer(plain.text())["input_ids"])
    kl_ids = list(tokenizer(plain.answered(plain.target))["input_ids"])
    n_target = len(kl_ids) - common_prefix_length(context_ids, kl_ids)
    cut = max(0, len(query_ids) - max_tokens, len(kl_ids) - max_tokens)
    if cut:
        head = tokenizer(plain.context.lstrip())["input_ids"]
        before = min(common_prefix_length(head, ids) for ids in (query_ids, kl_ids))
        query_ids, kl_ids = (without_left(tokenizer, ids, min(cut, before - 1)) for ids in (query_ids, kl_ids))
        if max(len(query_ids), len(kl_ids)) > max_tokens:
            raise TooLongError(f"what follows the question is longer than {max_tokens} tokens")
    row = TuningRow(row_id=row_id, query_ids=tuple(query_ids), kl_ids=tuple(kl_ids), n_target=n_target, label=label)
    return row, cut


@dataclass(frozen=True, kw_only=True)
class TuningBatch:
    """A padded batch of shared-prefix rows.

    Attributes:
        input_ids: (B, S) int64.
        position_ids: (B, S) int64.
        visible: (B, S, S) bool; ``visible[b, i, j]`` if token i may attend to token j.
        query_index: (B,) position of the last query token.
        labels: (B,) int64.
        kl_row, kl_index: (T,) row and position whose next-token distribution the KL term compares.
        n_rows: B.
    """

    input_ids: Tensor
    position_ids: Tensor
    visible: Tensor
    query_index: Tensor
    labels: Tensor
    kl_row: Tensor
    kl_index: Tensor

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.input_ids.shape[0])

    def to(self, device: torch.device) -> "TuningBatch":
        """The same batch on a device."""
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)}
        return TuningBatch(**moved)

    def attention_mask(self, dtype: torch.dtype) -> Tensor:
        """(B, 1, S, S) float mask, 0 where visible: a bool mask is silently wrong under eager attention."""
        mask = torch.zeros(self.visible.shape, dtype=dtype, device=self.visible.device)
        return mask.masked_fill(~self.visible, torch.finfo(dtype).min)[:, None]


def collate(rows: Sequence[TuningRow], pad_id: int, with_kl: bool = True) -> TuningBatch:
    """Lays rows out side by side; padding tokens see themselves alone.

    Args:
        rows: at least one.
        pad_id: any token of the vocabulary.
        with_kl: leave the KL branch out where its weight is zero or only the query is asked.
    """
    width = max(row.length if with_kl else len(row.query_ids) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    visible = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)
    kl_row: list[int] = []
    kl_index: list[int] = []
    for index, row in enumerate(rows):
        n_query, shared = len(row.query_ids), row.shared
        ids[index, :n_query] = torch.tensor(row.query_ids)
        positions[index, :n_query] = torch.arange(n_query)
        visible[index, :n_query, :n_query] = torch.ones(n_query, n_query, dtype=torch.bool).tril()
        if not with_kl:
            continue
        rest = torch.tensor(row.kl_ids[shared:])
        end = n_query + len(rest)
        ids[index, n_query:end] = rest
        positions[index, n_query:end] = shared + torch.arange(len(rest))
        visible[index, n_query:end, :shared] = True
        visible[index, n_query:end, n_query:end] = torch.ones(len(rest), len(rest), dtype=torch.bool).tril()
        for place in range(len(row.kl_ids) - row.n_target - 1, len(row.kl_ids) - 1):
            kl_row.append(index)
            kl_index.append(place if place < shared else n_query + place - shared)
    return TuningBatch(
        input_ids=ids,
        position_ids=positions,
        visible=visible,
        query_index=torch.tensor([len(row.query_ids) - 1 for row in rows]),
        labels=torch.tensor([row.label for row in rows]),
        kl_row=torch.tensor(kl_row, dtype=torch.long),
        kl_index=torch.tensor(kl_index, dtype=torch.long),
    )
