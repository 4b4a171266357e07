"""Final hidden states of the base model at the KL positions, computed once per dataset and kept on disk."""

from collections.abc import Iterable, Sequence
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
from raycalib.tuning.row_chunks import row_chunks
from raycalib.tuning.settings import ReferenceDtype

TENSOR = "states"


def dtype_of_states(name: ReferenceDtype, of_model: torch.dtype) -> torch.dtype:
    """In which states are stored; ``model`` is the model's own."""
    found: torch.dtype = of_model if name == "model" else getattr(torch, name)
    return found


class ReferenceStates:
    """The states of all rows, in files of a few hundred rows, read by memory map.

    Which rows are in a file, and its name, follow from these rows and the model alone: runs that share rows share
    files (see ``row_chunks``), and a file is there whole or not at all.

    Args:
        place: where the files lie; several runs may share it.
        model_key: of the base model's weights.
        rows: all rows.
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
    def chunks(self) -> list[tuple[int, ...]]:
        """The rows of each file."""
        return row_chunks([row.row_id for row in self.rows])

    @cached_property
    def names(self) -> list[str]:
        """The files' names."""
        contents = [[[self.rows[row].kl_ids, self.rows[row].n_target] for row in chunk] for chunk in self.chunks]
        return [f"states-{stable_hash(self.model_key, str(self.dtype), content)}.safetensors" for content in contents]

    def missing(self) -> list[int]:
        """Numbers of the files that are not there."""
        there = set(self.place.names())
        return [number for number, name in enumerate(self.names) if name not in there]

    def holding(self, needed: Iterable[int]) -> list[int]:
        """Numbers of the files that hold these rows."""
        wanted = set(needed)
        return [number for number, chunk in enumerate(self.chunks) if not wanted.isdisjoint(chunk)]

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
        number, start = self._places[member]
        file = self._open.get(number)
        if file is None:
            file = self._open[number] = self._opened(number)
        states: Tensor = file.get_slice(TENSOR)[start : start + self.rows[member].n_target]
        return states

    @cached_property
    def _places(self) -> dict[int, tuple[int, int]]:
        """The file of each row, and where its states start in it."""
        places = {}
        for number, chunk in enumerate(self.chunks):
            start = 0
            for member in chunk:
                places[member] = number, start
                start += self.rows[member].n_target
        return places

    def _opened(self, number: int) -> Any:
        path = self._path(number)
        try:
            file: Any = safetensors.safe_open(path, framework="pt")
            shape = list(file.get_slice(TENSOR).get_shape())
        except (OSError, safetensors.SafetensorError) as error:
            raise DataError(f"{path} cannot be read: {error}; delete it and run again") from error
        expected = [sum(self.rows[member].n_target for member in self.chunks[number]), self.hidden_size]
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
