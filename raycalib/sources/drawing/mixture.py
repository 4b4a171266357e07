"""How many rows each source gives to ``all_20k_uniform``, and which; the paper's way and the even one."""

from collections.abc import Mapping

import numpy as np

TRAIN_ROWS = 20_000
VALIDATION_ROWS = 2_000


def even_quotas(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Rows of each source so that all give the same, and what small ones lack comes from the others.

    The quotas add up to ``total``, or to all rows there are; a remainder goes to the first sources, one row each.

    Args:
        sizes: rows of each source, in order.
        total: rows wanted.

    >>> even_quotas({"arc": 10, "cb": 2, "wsc": 9}, 15)
    {'arc': 7, 'cb': 2, 'wsc': 6}
    """
    quotas = dict(sizes)
    wanted, able = min(total, sum(sizes.values())), list(sizes)
    while able:
        share, remainder = divmod(wanted, len(able))
        small = [name for name in able if sizes[name] <= share]
        if not small:
            quotas.update({name: share + (index < remainder) for index, name in enumerate(able)})
            break
        wanted -= sum(sizes[name] for name in small)
        able = [name for name in able if sizes[name] > share]
    return quotas


def paper_train_quotas(sizes: Mapping[str, int], total: int = TRAIN_ROWS) -> dict[str, int]:
    """The paper's quotas: an equal share of the first rows of each, and what small sources lack is missing.

    >>> paper_train_quotas({"arc": 10, "cb": 2, "wsc": 9}, 15)
    {'arc': 5, 'cb': 2, 'wsc': 5}
    """
    share = total // max(len(sizes), 1)
    return {name: min(share, size) for name, size in sizes.items()}


def paper_validation(
    sizes: Mapping[str, int], seed: int, total: int = TRAIN_ROWS, wanted: int = VALIDATION_ROWS
) -> list[tuple[str, int]]:
    """The paper's validation rows as (source, index): of the sources that come first, in a drawn order.

    Each source gives its first rows in proportion to its size; of all, one after the other, the first ``wanted`` are
    kept and permuted.

    Args:
        sizes: validation rows of each source, in order.
        seed: of the permutation.
        total: rows of the proportional selection.
        wanted: rows kept.
    """
    n_rows = sum(sizes.values())
    chosen = [
        (name, index)
        for name, size in sizes.items()
        for index in range(int(np.floor(size / n_rows * min(total, n_rows))))
    ][:wanted]
    order = np.random.RandomState(seed).permutation(len(chosen))
    return [chosen[index] for index in order]
