"""Unique row_ids that depend on a question's content alone."""

from collections import Counter

from raycalib.hashing import text_hash


class RowIds:
    """Gives ids; the second of two equal questions gets another one than the first, by its number of occurrence."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeats: Counter[str] = Counter()

    def of(self, *parts: str) -> str:
        """The id of the parts, texts without NUL characters.

        >>> ids = RowIds()
        >>> ids.of("a") == RowIds().of("a"), ids.of("a") == RowIds().of("a")
        (True, False)
        """
        row_id = text_hash(*parts)
        number = int(row_id, 16)
        if number in self._seen:
            self._repeats[row_id] += 1
            row_id = text_hash(*parts, str(self._repeats[row_id]))
            number = int(row_id, 16)
        self._seen.add(number)
        return row_id
