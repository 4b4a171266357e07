"""A file of which only pieces are fetched, as Arrow reads one."""

from collections.abc import Iterable
import io

from raycalib.storage.location import Location

MOST_GAP = 2**17
"""Bytes between two pieces that are fetched with them: another request takes longer."""


class RangedFile(io.RawIOBase):
    """Bytes of a file by ranges; a piece that was fetched is kept, any other is fetched when it is read.

    Raises:
        StorageError: a piece cannot be read.
    """

    def __init__(self, place: Location, name: str, size: int) -> None:
        self._place, self._name, self._size = place, name, size
        self._pieces: list[tuple[int, bytes]] = []
        self._at = 0

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetches what is not there of these ranges (start and end), those that lie close together in one piece."""
        wanted: list[tuple[int, int]] = []
        for start, end in sorted(ranges):
            if self._found(start, end) is not None:
                continue
            if wanted and start - wanted[-1][1] <= MOST_GAP:
                wanted[-1] = (wanted[-1][0], max(end, wanted[-1][1]))
            else:
                wanted.append((start, end))
        self._pieces += [(start, self._place.read_range(self._name, start, end)) for start, end in wanted]

    def _found(self, start: int, end: int) -> bytes | None:
        for begin, piece in self._pieces:
            if begin <= start and end <= begin + len(piece):
                return piece[start - begin : end - begin]
        return None

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer where the file ends."""
        start = self._at
        end = self._size if size < 0 else min(start + size, self._size)
        if end <= start:
            return b""
        found = self._found(start, end)
        if found is None:
            found = self._place.read_range(self._name, start, end)
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place in the file and returns it."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Where the next bytes are read from."""
        return self._at

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True
