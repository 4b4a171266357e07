"""Event files of TensorBoard, on a local disk or an object store."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from tensorboardX import SummaryWriter

from raycalib.errors import StorageError
from raycalib.storage import Location

FOLDER = "tensorboard"


class EventFiles:
    """Of one job; they lie in ``tensorboard/`` beside the checkpoints, once something is written.

    On an object store they are written to a local directory and copied whenever they are kept: what a store does not
    take is copied the next time, and never ends a run.
    """

    def __init__(self, place: Location) -> None:
        """Takes the job's place."""
        self.place = place / FOLDER
        self._local: TemporaryDirectory[str] | None = None

    @cached_property
    def writer(self) -> SummaryWriter:
        """Writes one more file, begun when it is first asked for."""
        if self.place.is_local:
            return SummaryWriter(str(self.place.local_path))
        self._local = TemporaryDirectory(prefix="raycalib-tensorboard-")
        return SummaryWriter(self._local.name)

    @property
    def has_begun(self) -> bool:
        """Whether anything is written."""
        return "writer" in vars(self)

    def keep(self) -> None:
        """Brings what is on the local disk to its place; what a thread has yet to write there comes with the next."""
        self.writer.flush()
        self._copy()

    def close(self) -> None:
        """Writes and keeps what is left."""
        if self.has_begun:
            self.writer.close()
            self._copy()
        if self._local is not None:
            self._local.cleanup()

    def _copy(self) -> None:
        if self._local is not None:
            for file in Path(self._local.name).iterdir():
                with suppress(StorageError):
                    self.place.write_bytes(file.name, file.read_bytes())
