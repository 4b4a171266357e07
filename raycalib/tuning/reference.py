"""Final hidden states of the base model at the KL positions, computed once per dataset and kept on disk."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from raycalib.errors import DataError
from raycalib.hashing import stable_hash
from raycalib.storage import Location
from raycalib.tuning.batches import TuningRow

ROWS_PER_FILE = 512
TENSOR = "states"


class ReferenceStates:
    """The states of all rows, in files of a few hundred rows, read by memory map.

    A file's name is a hash of all that its content depends on, so runs that share rows and model share files, and a
    file is there whole or not at all.

    Args:
        place: where the files lie; several runs may share it.
        model_key: of the base model's weights.
        rows: all rows, in an order that does not change between runs.
        hidden_size: H.
        dtype: of the stored states.
    """

    def __init__(
        self, place: Location, model_key: str, rows: Sequence[TuningRow], hidden_size: int, dtype: torch.dtype
    ) -> None:
        self.place, self.rows, self.hidden_size, self.dtype = place, rows, hidden_size, dtype
        self.model_key = model_key
        self._open: dict[int, Any] = {}
        self._downloads: TemporaryDirectory[str] | None = None

    @property
    def n_bytes(self) -> int:
        """Size of all states."""
        return sum(row.n_target for row in self.rows) * self.hidden_size * self.dtype.itemsize

    @cached_property
    def names(self) -> list[str]:
        """The files' names."""
        return [
            f"states-{stable_hash(self.model_key, str(self.dtype), [[row.kl_ids, row.n_target] for row in rows])}"
            ".safetensors"
            for rows in (self.rows[start : start + ROWS_PER_FILE] for start in range(0, len(self.rows), ROWS_PER_FILE))
        ]

    def missing(self) -> list[int]:
        """Numbers of the files that are not there."""
        there = set(self.place.names())
        return [number for number, name in enumerate(self.names) if name not in there]

    def members(self, number: int) -> range:
        """Rows of a file."""
        return range(number * ROWS_PER_FILE, min((number + 1) * ROWS_PER_FILE, len(self.rows)))

    def write(self, number: int, states: Sequence[Tensor]) -> None:
        """Writes a file.

        Args:
            number: of the file.
            states: (n_target, H) of each of its rows.

        Raises:
            StorageError: it cannot be written.
        """
        whole = torch.cat(list(states)).to(self.dtype).cpu().contiguous()
        self.place.write_bytes(self.names[number], safetensors.torch.save({TENSOR: whole}))

    def take(self, members: Sequence[int]) -> Tensor:
        """(T, H) states of some rows, one behind the other.

        Raises:
            DataError: a file is not what was written.
        """
        return torch.cat([self._row(member) for member in members])

    def not_finite(self, members: Sequence[int]) -> list[int]:
        """Those of the rows that have a state with NaN or infinity.

        Raises:
            DataError: a file is not what was written.
        """
        return [member for member in members if not bool(torch.isfinite(self._row(member)).all())]

    def _row(self, member: int) -> Tensor:
        number, within = divmod(member, ROWS_PER_FILE)
        file = self._open.get(number)
        if file is None:
            file = self._open[number] = self._opened(number)
        start = self._starts[number][within]
        states: Tensor = file.get_slice(TENSOR)[start : start + self.rows[member].n_target]
        return states

    @cached_property
    def _starts(self) -> list[list[int]]:
        """Where each row's states start in its file."""
        starts = []
        for number in range(len(self.names)):
            place, of_file = 0, list[int]()
            for member in self.members(number):
                of_file.append(place)
                place += self.rows[member].n_target
            starts.append(of_file)
        return starts

    def _opened(self, number: int) -> Any:
        path = self._path(number)
        try:
            file: Any = safetensors.safe_open(path, framework="pt")
            shape = list(file.get_slice(TENSOR).get_shape())
        except (OSError, safetensors.SafetensorError) as error:
            raise DataError(f"{path} cannot be read: {error}; delete it and run again") from error
        expected = [sum(self.rows[member].n_target for member in self.members(number)), self.hidden_size]
        if shape != expected:
            raise DataError(f"{path} has states of shape {shape}, expected {expected}; delete it and run again")
        return file

    def _path(self, number: int) -> Path:
        name = self.names[number]
        if self.place.is_local:
            return self.place.local_path / name
        if self._downloads is None:
            self._downloads = TemporaryDirectory(prefix="raycalib-reference-")
        path = Path(self._downloads.name) / name
        path.write_bytes(self.place.read_bytes(name))
        return path
