"""From the rows of a hub split to items: every row becomes an item, a refusal with its reason, or another source's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from raycalib.records import Row
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.columns import text_at
from raycalib.sources.hub.declaration import HubSource
from raycalib.sources.hub.final_answer import final_answer
from raycalib.sources.hub.item import Item, Refusal, UnusableRowError
from raycalib.sources.hub.shown import sample

MAX_OPTIONS = len(ascii_lowercase)
OPTIONS = "options"


class SplitItems(NamedTuple):
    """What the rows of one split became; the three counts below add up to ``n_rows``.

    Attributes:
        items: the usable rows, in the hub's order.
        refusals: the rows that cannot be used.
        n_other_category: rows that belong to a sibling source, such as another category of mmlu_pro.
        n_rows: rows read.
    """

    items: tuple[Item, ...]
    refusals: tuple[Refusal, ...]
    n_other_category: int
    n_rows: int


def convert_row(
    source: HubSource, row: Row, row_number: int, *, seed: int, position: int | None = None, paper_exact: bool = False
) -> Item | Refusal:
    """The row as an item, or why it is refused; never raises for what a row holds.

    Args:
        source: what the row is a row of.
        row: from column to value.
        row_number: index in the hub split.
        seed: added to the position, it seeds the order of options where the source shuffles them.
        position: index among the usable rows; ``row_number`` if not given.
        paper_exact: read the row as the paper's code does, faults included.
    """
    position = row_number if position is None else position
    try:
        texts = _texts(source, row, paper_exact)
        solution = texts[source.solution] if source.solution and not paper_exact else ""
        if solution:
            texts[source.solution or ""] = _final(solution, source.solution or "")
        options, answer = _options_and_answer(source, row, paper_exact)
    except UnusableRowError as error:
        return Refusal(row_number, str(error), error.field, error.expected)
    if source.paper.shuffles_options if paper_exact else source.shuffles_options:
        order = np.random.default_rng(seed + position).permutation(len(options)).tolist()
        options = tuple(options[index] for index in order)
        answer = order.index(answer)
    return Item(position=position, texts=texts, options=options, answer=answer, solution=solution)


def convert_rows(
    source: HubSource, rows: Iterable[RawRow], *, seed: int, paper_exact: bool = False
) -> Iterator[Item | Refusal | None]:
    """Converts the rows of one hub split one by one, in order; None stands for a row of a sibling source.

    Args:
        source: what the rows are rows of.
        rows: of one hub split, numbered from 1.
        seed: see ``convert_row``.
        paper_exact: read the rows as the paper's code does, faults included.
    """
    position = 0
    for number, row, fault in rows:
        if fault:
            yield Refusal(number - 1, fault)
        elif _is_of_another_category(source, row):
            yield None
        else:
            found = convert_row(source, row, number - 1, seed=seed, position=position, paper_exact=paper_exact)
            if isinstance(found, Item):
                position += 1
                yield found
            else:
                yield found._replace(content=sample(row))


def read_split(source: HubSource, rows: Iterable[Row], *, seed: int, paper_exact: bool = False) -> SplitItems:
    """Converts the rows of one hub split at once; ``convert_rows`` does it one by one.

    Args:
        source: what the rows are rows of.
        rows: from column to value, one mapping a row.
        seed: see ``convert_row``.
        paper_exact: read the rows as the paper's code does, faults included.
    """
    raw = (RawRow(number, row) for number, row in enumerate(rows, start=1))
    found = list(convert_rows(source, raw, seed=seed, paper_exact=paper_exact))
    return SplitItems(
        items=tuple(item for item in found if isinstance(item, Item)),
        refusals=tuple(refusal for refusal in found if isinstance(refusal, Refusal)),
        n_other_category=found.count(None),
        n_rows=len(found),
    )


def _is_of_another_category(source: HubSource, row: Row) -> bool:
    if source.category is None:
        return False
    column, wanted = source.category
    return isinstance(row, Mapping) and isinstance(row.get(column), str) and row[column] != wanted


def _texts(source: HubSource, row: Row, paper_exact: bool) -> dict[str, str]:
    if source.category is not None:
        text_at(row, source.category[0])
    texts = {}
    for name in source.text_fields:
        derive = source.derived.get(name)
        texts[name] = derive(row) if derive else text_at(row, name)
        if not (derive or paper_exact or name in source.may_be_empty or texts[name].strip()):
            raise UnusableRowError(f"{name!r} is empty", name)
    return texts


def _final(solution: str, column: str) -> str:
    found = final_answer(solution)
    if found is None:
        raise UnusableRowError(f"{column!r} does not end in a line with '####' and the final answer", column)
    return found


def _options_and_answer(source: HubSource, row: Row, paper_exact: bool) -> tuple[tuple[str, ...], int | None]:
    read_options = (source.paper.options if paper_exact else None) or source.options
    read_answer = (source.paper.answer if paper_exact else None) or source.answer
    if read_options is None or read_answer is None:
        return (), None
    options = read_options(row)
    if len(options) > MAX_OPTIONS:
        raise UnusableRowError(f"has {len(options)} options; there are letters for {MAX_OPTIONS}", OPTIONS)
    _check_options(source, options, paper_exact)
    return options, read_answer(row, options)


def _check_options(source: HubSource, options: tuple[str, ...], paper_exact: bool) -> None:
    if paper_exact:
        if source.paper.refuses_repeated_options and len(set(options)) < len(options):
            raise UnusableRowError("two options are equal", OPTIONS, expected=True)
        return
    if len(options) < 2:
        raise UnusableRowError(f"has {len(options)} options; at least 2 are needed", OPTIONS)
    problem = repeated_or_empty(options)
    if problem:
        expected = source.paper.refuses_repeated_options and "equal" in problem
        raise UnusableRowError(problem, OPTIONS, expected=expected)


def repeated_or_empty(options: Sequence[str]) -> str:
    """What is wrong where an option is empty or there twice, outer spaces aside; empty where all is well."""
    stripped = [option.strip() for option in options]
    if all(stripped) and len(set(stripped)) == len(stripped):
        return ""
    seen: dict[str, str] = {}
    for letter, text in zip(ascii_lowercase, stripped, strict=False):
        if not text:
            return f"option ({letter}) is empty"
        if text in seen:
            return f"options ({seen[text]}) and ({letter}) are equal"
        seen[text] = letter
    return ""
