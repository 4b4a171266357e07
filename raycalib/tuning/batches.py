"""Shared-prefix rows: the query text and the KL text of one labelled answer in one sequence.

Both texts start with the same tokens (the question). A row is laid out as

    [shared prefix | rest of the query text | rest of the KL text]

with position ids that restart after the prefix and attention that keeps the two branches apart, so one pass reads both.
Shapes: B rows, N tokens of the whole batch, T scored KL positions, R positions that are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from raycalib.lm.label_tokens import common_prefix_length
from raycalib.lm.packed import PackedRow
from raycalib.lm.query_tokens import query_tokens
from raycalib.lm.window import TooLongError, without_left
from raycalib.prompts import Example


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

    @cached_property
    def shared(self) -> int:
        """Tokens that the two texts share, at least one of each branch's own left out of it."""
        return common_prefix_length(self.query_ids[:-1], self.kl_ids[:-1])

    @property
    def length(self) -> int:
        """Tokens of the row in the shared-prefix layout."""
        return len(self.query_ids) + len(self.kl_ids) - self.shared


def tuning_row(
    tokenizer: PreTrainedTokenizerBase,
    row_id: str,
    example: Example,
    answer: str,
    label: int,
    max_tokens: int,
    with_header: bool = False,
) -> tuple[TuningRow, int]:
    """The row of one labelled answer, and how many tokens of header and context were cut from the left to fit.

    Without ``with_header`` the few-shot header is not read, as in the paper; with it both texts begin with it. Target
    prompt, answers and query are never cut. The query is cut as scoring cuts it; the text with the true answer at the
    same place, or further on where it is longer still.

    Raises:
        TooLongError: they alone are longer than ``max_tokens``.
    """
    shown = example if with_header else replace(example, prompt="")
    read = query_tokens(tokenizer, shown.text(), answer, shown.target_prompt, max_tokens)
    kl_ids = list(tokenizer(shown.answered(shown.target))["input_ids"])
    context_ids = list(tokenizer(shown.text())["input_ids"])
    n_target = len(kl_ids) - common_prefix_length(context_ids, kl_ids)
    cut = max(read.n_cut, len(kl_ids) - max_tokens)
    if cut:
        head = tokenizer((shown.prompt + shown.context).lstrip())["input_ids"]
        kl_ids = without_left(tokenizer, kl_ids, min(cut, common_prefix_length(head, kl_ids) - 1))
        if len(kl_ids) > max_tokens:
            raise TooLongError(f"what follows the question is longer than {max_tokens} tokens")
    query_ids = tuple(read.query)
    row = TuningRow(row_id=row_id, query_ids=query_ids, kl_ids=tuple(kl_ids), n_target=n_target, label=label)
    return row, cut


def answer_row(
    tokenizer: PreTrainedTokenizerBase,
    row_id: str,
    example: Example,
    answer: str,
    label: int,
    max_tokens: int,
    with_header: bool = False,
) -> tuple[TuningRow, int]:
    """As ``tuning_row``, for a classifier on the state after the answer: no query is asked, and there is no KL text.

    It is cut where a query about it would be, as in scoring.

    Raises:
        TooLongError: target prompt, answer and query alone are longer than ``max_tokens``.
    """
    shown = example if with_header else replace(example, prompt="")
    read = query_tokens(tokenizer, shown.text(), answer, shown.target_prompt, max_tokens)
    return TuningRow(row_id=row_id, query_ids=tuple(read.answered), kl_ids=(), n_target=0, label=label), read.n_cut


@dataclass(frozen=True, kw_only=True)
class TuningBatch:
    """Packed shared-prefix rows, one behind the other without padding.

    Attributes:
        input_ids: (1, N) int64.
        position_ids: (1, N) int64.
        rows: lengths of each row; its query text is the trunk, the rest of its KL text the branch.
        read: (R,) positions whose final states the loss reads, row by row.
        query_at: (B,) places in ``read`` of each row's last query token.
        kl_at: (T,) places in ``read`` whose next-token distributions the KL term compares.
        labels: (B,) int64.
        seeds: of each row's dropout; empty for none.
    """

    input_ids: Tensor
    position_ids: Tensor
    rows: tuple[PackedRow, ...]
    read: Tensor
    query_at: Tensor
    kl_at: Tensor
    labels: Tensor
    seeds: tuple[int, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def n_tokens(self) -> int:
        """Number of tokens, N; all are of some row."""
        return int(self.input_ids.shape[1])

    @property
    def n_read(self) -> tuple[int, ...]:
        """Of each row's positions in ``read``."""
        return tuple(len(row.reads) for row in self.rows)

    def to(self, device: torch.device) -> "TuningBatch":
        """The same batch on a device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def collate(rows: Sequence[TuningRow], with_kl: bool = True, seeds: Sequence[int] = ()) -> TuningBatch:
    """Lays rows out one behind the other.

    Args:
        rows: at least one.
        with_kl: leave the KL branch out where its weight is zero or only the query is asked.
        seeds: of each row's dropout; none switches it off.
    """
    ids, positions, packed = list[int](), list[int](), list[PackedRow]()
    for row in rows:
        shared, n_query = row.shared if with_kl else 0, len(row.query_ids)
        rest = row.kl_ids[shared:] if with_kl else ()
        ids += [*row.query_ids, *rest]
        positions += [*range(n_query), *range(shared, shared + len(rest))]
        compared = range(len(row.kl_ids) - row.n_target - 1, len(row.kl_ids) - 1) if with_kl else ()
        places = (place if place < shared else n_query + place - shared for place in compared)
        packed.append(PackedRow(n_query, shared, len(rest), (n_query - 1, *places)))
    return _batch(rows, ids, positions, packed, seeds)


def collate_reference(rows: Sequence[TuningRow]) -> TuningBatch:
    """The rows' KL texts alone, for the base model, which is not asked the query."""
    ids, positions, packed = list[int](), list[int](), list[PackedRow]()
    for row in rows:
        end = len(row.kl_ids) - 1
        ids += row.kl_ids
        positions += range(len(row.kl_ids))
        packed.append(PackedRow(len(row.kl_ids), reads=tuple(range(end - row.n_target, end))))
    return _batch(rows, ids, positions, packed, (), asks_query=False)


def _batch(
    rows: Sequence[TuningRow],
    ids: Sequence[int],
    positions: Sequence[int],
    packed: Sequence[PackedRow],
    seeds: Sequence[int],
    asks_query: bool = True,
) -> TuningBatch:
    """The batch of a layout. Where a query is asked, its place is each row's first of those that are read."""
    read, query_at, kl_at = list[int](), list[int](), list[int]()
    start = 0
    for row in packed:
        first = len(read)
        read += [start + place for place in row.reads]
        query_at += [first] if asks_query else []
        kl_at += range(first + asks_query, len(read))
        start += row.length
    as_tensor = partial(torch.tensor, dtype=torch.long)
    return TuningBatch(
        input_ids=as_tensor([ids]),
        position_ids=as_tensor([positions]),
        rows=tuple(packed),
        read=as_tensor(read),
        query_at=as_tensor(query_at),
        kl_at=as_tensor(kl_at),
        labels=as_tensor([row.label for row in rows]),
        seeds=tuple(seeds),
    )
