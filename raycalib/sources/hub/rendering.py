"""From items to examples: the text of one prompt style, with its few-shot header."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from string import ascii_lowercase

import numpy as np

from raycalib.errors import ConfigError, DataError
from raycalib.prompts import Example, with_choices
from raycalib.sources.hub.declaration import HubSource, OpenEndedText
from raycalib.sources.hub.item import Item


def render(source: HubSource, item: Item, style: str, *, header: str = "") -> Example:
    """The item as an example in one style.

    Args:
        source: what the item is a row of.
        item: the usable row.
        style: ``oe`` or ``choice``.
        header: the few-shot header.

    Raises:
        ConfigError: the source does not have the style.
    """
    words = source.words(style)
    context = words.context.format_map(item.texts)
    if isinstance(words, OpenEndedText):
        target = words.target.format_map({**item.texts, **_right_option(item)})
    else:
        context = with_choices(context, item.options)
        target = "" if item.answer is None else ascii_lowercase[item.answer]
    return Example(prompt=header, context=context, target_prompt=words.target_prompt, target=target)


def few_shot_header(
    source: HubSource, item: Item, style: str, *, pool: Sequence[Item], k: int, seed: int, paper_exact: bool = False
) -> str:
    """The text before the question: k answered examples, or the style's hint if there are none.

    The examples are the first k of ``numpy.random.default_rng(seed + item.position).permutation(len(pool))``. A row of
    the pool that puts the item's own question, with whatever options, is passed over, except under ``paper_exact``: it
    would tell the answer.
    A smaller pool gives fewer examples.

    Raises:
        ConfigError: k is negative, or the source does not have the style.
        DataError: k is positive and the pool is empty.
    """
    words = source.words(style)
    if k < 0:
        raise ConfigError(f"source {source.name}: {k} few-shot examples; at least 0")
    if k > 0 and not pool:
        raise DataError(f"source {source.name}: the hub's split {source.shots_from!r} has no row to use as an example")
    shots = _draw_shots(source, item, pool, k, seed, paper_exact) if k else []
    if not shots:
        return words.zero_shot_hint if isinstance(words, OpenEndedText) else ""
    examples = [render(source, shot, style) for shot in shots]
    shown = [example.answered(example.target) for example in examples]
    return "\n\n".join([words.intro, *shown, words.outro]) + words.after_outro


def render_split(
    source: HubSource,
    items: Iterable[Item],
    style: str,
    *,
    k: int = 0,
    pool: Sequence[Item] = (),
    seed: int,
    paper_exact: bool = False,
) -> Iterator[Example]:
    """One example for each item, in their order, with k few-shot examples from the pool.

    Args:
        source: what the items are rows of.
        items: from ``read_split``.
        style: ``oe`` or ``choice``.
        k: few-shot examples; ``source.shots_in(split)`` is the paper's number.
        pool: items of the hub's split ``source.shots_from``; not needed if k is 0.
        seed: added to an item's position, it seeds the choice of examples.
        paper_exact: let a row be its own example, as in the paper's code.
    """
    for item in items:
        header = few_shot_header(source, item, style, pool=pool, k=k, seed=seed, paper_exact=paper_exact)
        yield render(source, item, style, header=header)


def _draw_shots(
    source: HubSource, item: Item, pool: Sequence[Item], k: int, seed: int, paper_exact: bool
) -> list[Item]:
    asked = source.asked_fields
    order = np.random.default_rng(seed + item.position).permutation(len(pool))
    usable = (pool[index] for index in order if paper_exact or not pool[index].asks_the_same(item, asked))
    return list(islice(usable, k))


def _right_option(item: Item) -> dict[str, str]:
    if item.answer is None:
        return {}
    return {"option": item.options[item.answer], "number": str(item.answer + 1)}
