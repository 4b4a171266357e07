"""Training rows in chunks, a file each for what is known of them; a row that comes or goes changes one chunk alone."""

from collections.abc import Sequence

from raycalib.hashing import stable_hash

MEAN_ROWS = 512
MOST_ROWS = 1024


def drawing_order(row_ids: Sequence[str]) -> list[int]:
    """Places of the rows in the order in which they are drawn: the first so many are those of ``train_rows``."""
    keys = [_key(row_id) for row_id in row_ids]
    return sorted(range(len(row_ids)), key=keys.__getitem__)


def row_chunks(row_ids: Sequence[str]) -> list[tuple[int, ...]]:
    """Places of the rows, each in one chunk of at most ``MOST_ROWS``.

    Chunks are cut behind rows whose id says so (content-defined chunking), in the order of drawing. So runs on fewer of
    the rows, drawn in that order, share all chunks but the last, and a row less changes its own chunk and few others.
    """
    chunks, chunk = list[tuple[int, ...]](), list[int]()
    for place in drawing_order(row_ids):
        chunk.append(place)
        if len(chunk) == MOST_ROWS or int(_key(row_ids[place])[-8:], 16) % MEAN_ROWS == 0:
            chunks.append(tuple(chunk))
            chunk = []
    return [*chunks, tuple(chunk)] if chunk else chunks


def _key(row_id: str) -> str:
    return stable_hash("train_rows", row_id)
