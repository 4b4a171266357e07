"""What a run says on standard output: lines that stay, and one of the stage at work that is replaced as it goes on.

On a terminal that line is updated in place. In a pipe, a file or ``ray job logs`` it is a plain line now and then, at
growing distances, so that a run of an hour says about as much as one of ten minutes.
"""

from collections.abc import Callable
import os
import sys
import threading
import time
from typing import TextIO

from rich.text import Text

from raycalib.printable import printable_line, printable_lines
from raycalib.secrets import hide_message

ERASE = "\r\x1b[K"
DRAW_EVERY_S = 0.1
FIRST_S, GROWTH, LONGEST_S = 10.0, 0.5, 600.0


class Console:
    """Lines of one process; threads may call it. Names in them never steer a terminal."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a stream, what standard output is at the moment."""
        self._given, self._clock = stream, clock
        self._lock = threading.RLock()
        self._live = ""
        self._drawn_at = -DRAW_EVERY_S
        self._started = self._last = clock()

    def say(self, text: str) -> None:
        """A line that stays, at once; the line that is replaced goes on below it."""
        with self._lock:
            self._write(f"{self._erased()}{printable_lines(hide_message(text))}\n{self._drawn()}")
            self._last = self._clock()

    def show(self, text: str) -> None:
        """A line that the next one replaces; where nothing can be replaced, a line from time to time."""
        with self._lock:
            now = self._clock()
            if self._is_terminal():
                self._live = printable_line(hide_message(text))
                if now - self._drawn_at >= DRAW_EVERY_S:
                    self._drawn_at = now
                    self._write(f"{ERASE}{self._drawn()}")
            elif now - self._last >= min(LONGEST_S, max(FIRST_S, GROWTH * (now - self._started))):
                self.say(text)

    def end(self, text: str) -> None:
        """A line that stays in place of the one that was replaced so far."""
        with self._lock:
            erased, self._live = self._erased(), ""
            self._write(f"{erased}{printable_lines(hide_message(text))}\n")
            self._last = self._clock()

    def leave(self) -> None:
        """Lets the line that was replaced so far stay, for others to write below it."""
        with self._lock:
            if self._live:
                self._write("\n")
            self._live = ""

    @property
    def _stream(self) -> TextIO:
        return self._given or sys.stdout

    def _is_terminal(self) -> bool:
        return self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def _erased(self) -> str:
        return ERASE if self._live else ""

    def _drawn(self) -> str:
        """The line that is replaced, cut to the terminal's width: of a longer one the first rows would stay."""
        line = Text(self._live)
        line.truncate(max(1, self._columns() - 1), overflow="ellipsis")
        return line.plain

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


CONSOLE = Console()
"""Of this process."""
