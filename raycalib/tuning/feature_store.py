"""Matrices of features that need not fit into memory: beyond a bound they lie in a temporary file that is mapped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import math
import mmap
import os
import tempfile
from typing import IO, NamedTuple
import weakref

import numpy as np

from raycalib.errors import DataError, StorageError

MOST_IN_MEMORY = 2**28
"""Bytes of a matrix that is held in memory."""


class Rows(NamedTuple):
    """A matrix, and what lets go of the memory that its pages take; its values stay."""

    array: np.ndarray
    release: Callable[[], object]


class FeatureStore:
    """Takes (n, H) float32 features block by block, and gives them as one matrix."""

    def __init__(self) -> None:
        self._blocks = list[np.ndarray]()
        self._file: IO[bytes] | None = None
        self._n_rows = self._width = 0

    def add(self, block: np.ndarray) -> None:
        """Takes rows, in order.

        Raises:
            DataError: they are of another width than those before.
            StorageError: they do not fit into memory, and there is no room for a temporary file.
        """
        if self._n_rows and block.shape[1] != self._width:
            raise DataError(
                f"features of {block.shape[1]} numbers stand behind features of {self._width}; make them again by one "
                "model"
            )
        self._n_rows, self._width = self._n_rows + len(block), block.shape[1]
        self._blocks.append(np.ascontiguousarray(block, dtype=np.float32))
        if self._file is None and self._n_bytes <= MOST_IN_MEMORY:
            return
        with _room(self._n_bytes):
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 — closed once it is mapped, or with the store
                weakref.finalize(self, self._file.close)
            for each in self._blocks:
                self._file.write(each.data)
        self._blocks = []

    @property
    def _n_bytes(self) -> int:
        return 4 * self._n_rows * self._width

    def matrix(self) -> np.ndarray:
        """(n, H) all rows; asked for once."""
        if self._file is None:
            blocks, self._blocks = self._blocks, []
            return np.concatenate(blocks) if blocks else np.zeros((0, 0), dtype=np.float32)
        with _room(self._n_bytes), self._file as file:
            file.flush()
            return _mapped(file, (self._n_rows, self._width)).array


def empty_rows(shape: tuple[int, ...]) -> Rows:
    """A float32 matrix to be filled, in memory up to the bound and mapped beyond.

    Raises:
        StorageError: there is no room for a temporary file.
    """
    n_bytes = 4 * math.prod(shape)
    if n_bytes <= MOST_IN_MEMORY:
        return Rows(np.empty(shape, dtype=np.float32), lambda: None)
    with _room(n_bytes), tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, n_bytes)  # a page without room on the disk would end the process
        return _mapped(file, shape)


def _mapped(file: IO[bytes], shape: tuple[int, ...]) -> Rows:
    """The file's numbers; it has no name, and goes with the matrix."""
    pages = mmap.mmap(file.fileno(), 4 * math.prod(shape))
    array = np.frombuffer(pages, dtype=np.float32).reshape(shape)
    return Rows(array, lambda: pages.madvise(mmap.MADV_DONTNEED))


@contextmanager
def _room(n_bytes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"features of {n_bytes / 2**30:.1f} GiB need a temporary file in {tempfile.gettempdir()}: {error}; make "
            "room there, or name another directory by TMPDIR"
        ) from error
