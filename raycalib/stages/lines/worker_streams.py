"""What a worker's process prints, made fit for the terminal of the driver, to which Ray passes it on as it is.

Tracebacks and warnings of libraries hold what servers, files and models say: their texts must not steer a terminal, and
must not hold the key that a server quotes.
"""

from collections.abc import Iterator
import contextlib
import logging
import sys
import traceback
from typing import Any

import ray

from raycalib.errors import RaycalibError
from raycalib.printable import printable_lines
from raycalib.secrets import hide_message


class CleanStream:
    """A text stream whose lines are printable and without secrets; for all else it is the stream behind it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text; a return to the start of the line becomes a line of its own."""
        self._stream.write(clean(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def clean(text: str) -> str:
    """Lines without secrets and without what steers a terminal."""
    return printable_lines(hide_message(text.replace("\r\n", "\n").replace("\r", "\n")))


def clean_streams() -> None:
    """From now on this process, where it is a worker of Ray, prints clean lines.

    Handlers of logs that hold the old streams get the new ones. The driver's streams stay: its lines are made clean
    where they are said, and a terminal's colours are its own.
    """
    if not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        return
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        if old is None or isinstance(old, CleanStream):
            continue
        new = CleanStream(old)
        setattr(sys, name, new)
        loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
        for logger in loggers:
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                    handler.setStream(new)


def print_failure() -> None:
    """The traceback of the exception that is being handled, on standard error."""
    sys.stderr.write(clean(traceback.format_exc()))
    sys.stderr.flush()


class WorkerError(RuntimeError):
    """Stands for an exception whose message must not be shown as it is."""


@contextlib.contextmanager
def clean_errors() -> Iterator[None]:
    """What is raised inside comes out with a clean message: Ray prints it in the driver with its traceback."""
    try:
        yield
    except Exception as error:
        told = "".join(traceback.format_exception(error))
        if clean(told) == told:
            raise
        message = clean(str(error))
        kind = type(error) if isinstance(error, RaycalibError) else WorkerError
        raise kind(message if kind is not WorkerError else f"{type(error).__name__}: {message}") from None
