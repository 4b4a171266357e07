"""Lines of Ray and other libraries that are no concern of a user: kept in the run's ``logs/``, not on the terminal.

What libraries write to standard error, by Python's ``logging`` or from C++, is set aside as long as a job runs. A
file in memory takes it until the run has a directory.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
import io
import os
from pathlib import Path
import sys
from tempfile import TemporaryDirectory, TemporaryFile
import threading
import time
from typing import BinaryIO

from raycalib.errors import RaycalibError, StorageError
from raycalib.printable import printable_line, printable_lines
from raycalib.secrets import hide_message
from raycalib.storage import Location

STDERR = 2
FOLDER = "logs"


class _Printable(io.TextIOBase):
    """Standard error of Python while it is set aside: what is kept never steers the terminal of whoever reads it."""

    def write(self, text: str) -> int:
        os.write(STDERR, printable_lines(hide_message(text)).encode(errors="backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return STDERR


class RunLogs:
    """The log files of the run that this process drives: ``…-driver.log`` and ``…-workers.log``.

    On an object store they are written to a local directory and copied when the run closes them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spool: BinaryIO | None = None
        self._place: Location | None = None
        self._local: TemporaryDirectory[str] | None = None
        self._files: dict[str, Path] = {}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Sets standard error aside; an error that is not the user's brings back what no directory has taken yet."""
        python = sys.stderr
        if python is None:  # closed by whoever started this process: its number may be another file's by now
            yield
            return
        terminal = os.dup(STDERR)
        with TemporaryFile() as spool:
            self._spool = spool
            with suppress(OSError, ValueError):
                python.flush()
            os.dup2(spool.fileno(), STDERR)
            sys.stderr = _Printable()
            unforeseen = True
            try:
                yield
                unforeseen = False
            except (RaycalibError, KeyboardInterrupt, SystemExit, BrokenPipeError):
                unforeseen = False
                raise
            finally:
                sys.stderr = python
                os.dup2(terminal, STDERR)
                os.close(terminal)
                if unforeseen and self._spool is not None:
                    os.write(STDERR, _content(spool))
                self._spool = None
                self.close()

    def keep_in(self, out: Location) -> None:
        """Opens the log files of a run whose directory is ``out``; those that are open stay."""
        with self._lock:
            if self._place is not None:
                return
            place, stamp = out / FOLDER, time.strftime("%Y%m%dT%H%M%S")
            try:
                if place.is_local:
                    folder = place.local_path
                    folder.mkdir(parents=True, exist_ok=True)
                else:
                    self._local = TemporaryDirectory(prefix="raycalib-logs-")
                    folder = Path(self._local.name)
                self._files = {name: folder / f"{stamp}-{name}.log" for name in ("driver", "workers")}
                if self._spool is not None:
                    self._take_over(self._spool, self._files["driver"])
            except OSError:  # full or read-only: the stage that writes there says so
                return
            self._place = place

    def _take_over(self, spool: BinaryIO, target: Path) -> None:
        with target.open("ab", buffering=0) as file:
            file.write(_content(spool))
            os.dup2(file.fileno(), STDERR)
        self._spool = None

    def of_workers(self, who: str, lines: Iterable[str]) -> None:
        """Keeps lines that a worker printed."""
        with self._lock, suppress(OSError):
            if path := self._files.get("workers"):
                with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.writelines(f"{who}: {printable_line(hide_message(line))}\n" for line in lines)

    @property
    def where(self) -> str:
        """Where to look for the cause of what a worker did."""
        return self._place.uri if self._place is not None else "Ray's logs"

    def close(self) -> None:
        """Ends the log files; the run may open others."""
        with self._lock:
            if self._place is not None and self._local is not None:
                for path in self._files.values():
                    with suppress(StorageError, OSError):
                        self._place.write_bytes(path.name, path.read_bytes())
                self._local.cleanup()
            self._place, self._local, self._files = None, None, {}


def _content(spool: BinaryIO) -> bytes:
    spool.seek(0)
    return spool.read()


RUN_LOGS = RunLogs()
"""Of this process."""
