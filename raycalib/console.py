"""What a run says on standard output: lines that stay, and one of each stage at work that is replaced as it goes on.

On a terminal those lines are updated in place, below the others. In a pipe, a file or ``ray job logs`` they are plain
lines now and then, at growing distances and by turns, so that a run of an hour says about as much as one of ten
minutes, however many stages are at work at once.
"""

from collections.abc import Callable, Collection, Sequence
import os
import sys
import threading
import time
from typing import TextIO

from rich.text import Text

from raycalib.printable import printable_line, printable_lines
from raycalib.secrets import hide_message

ERASE = "\r\x1b[K"
ERASE_ABOVE = "\x1b[1A\x1b[K"
DRAW_EVERY_S = 0.1
FIRST_S, GROWTH, LONGEST_S = 10.0, 0.5, 600.0
Draw = Callable[[int, int], Sequence[str]]
"""From columns and lines that there is room for to the lines of a table."""


class Console:
    """Lines of one process; threads may call it. Names in them never steer a terminal."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a stream, what standard output is at the moment."""
        self._given, self._clock = stream, clock
        self._lock = threading.RLock()
        self._live: dict[str, str] = {}
        """The lines that are replaced, by key, in the order in which they came."""
        self._turns: dict[str, float] = {}
        """When each of them was last said, where nothing can be replaced."""
        self._table: Draw | None = None
        self._in_table: Collection[str] = ()
        self._n_drawn = 0
        self._drawn_at = -DRAW_EVERY_S
        self._started = self._last = clock()

    def say(self, text: str) -> None:
        """A line that stays, at once; the lines that are replaced go on below it."""
        with self._lock:
            self._write(f"{self._erased()}{printable_lines(hide_message(text))}\n{self._drawn()}")
            self._last = self._clock()

    def show(self, text: str, key: str = "") -> None:
        """A line that the next one of its key replaces; where nothing can be replaced, a line from time to time."""
        with self._lock:
            now = self._clock()
            self._live[key] = printable_line(hide_message(text))
            if self.is_terminal:
                if now - self._drawn_at >= DRAW_EVERY_S:
                    self._drawn_at = now
                    self._write(f"{self._erased() or ERASE}{self._drawn()}")
            elif now - self._last >= min(LONGEST_S, max(FIRST_S, GROWTH * (now - self._started))):
                waits_longest = min(self._live, key=lambda key: self._turns.get(key, self._started))
                self._turns[waits_longest] = now
                self.say(self._live[waits_longest])

    def end(self, text: str, key: str = "") -> None:
        """A line that stays in place of the one that was replaced so far."""
        with self._lock:
            self._forget(key)
            self.say(text)

    def leave(self, key: str | None = None) -> None:
        """Lets the line that was replaced so far stay, for others to write below it; without a key all lines."""
        with self._lock:
            keys = [name for name in self._live if key in (None, name)]
            texts = [self._fitting(self._live[name]) for name in keys]
            for name in keys:
                self._forget(name)
            if self.is_terminal and texts:
                erased = self._erased()
                self._write("".join([erased or ERASE, *(f"{text}\n" for text in texts), self._drawn()]))

    def table(self, draw: Draw, instead_of: Collection[str]) -> None:
        """On a terminal, a table below the other lines until ``end_table``, drawn anew with each of them.

        Args:
            draw: gives its lines; at the next call another takes its place.
            instead_of: keys of lines that are not drawn meanwhile.
        """
        with self._lock:
            if self.is_terminal:
                self._table, self._in_table = draw, instead_of
                self._write(f"{self._erased() or ERASE}{self._drawn()}")

    def end_table(self) -> None:
        """Removes the table, and the lines that it was drawn instead of."""
        with self._lock:
            if self._table is not None:
                for key in self._in_table:
                    self._forget(key)
                self._table, self._in_table = None, ()
                self._write(f"{self._erased() or ERASE}{self._drawn()}")

    @property
    def _stream(self) -> TextIO:
        return self._given or sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether lines can be replaced."""
        return self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def _forget(self, key: str) -> None:
        self._live.pop(key, None)
        self._turns.pop(key, None)

    def _erased(self) -> str:
        """What removes the lines that are on the screen, from the last one up."""
        n, self._n_drawn = self._n_drawn, 0
        return (ERASE + ERASE_ABOVE * (n - 1)) if n else ""

    def _drawn(self) -> str:
        """The lines that are replaced, no more than the terminal holds: what has left it above could not be erased."""
        if not self.is_terminal:
            return ""
        most = max(1, self._size().lines - 1)
        texts = [text for key, text in self._live.items() if self._table is None or key not in self._in_table]
        for_texts = most if self._table is None else max(1, most // 2)
        if len(texts) > for_texts:
            texts = [*texts[: for_texts - 1], f"  … and {len(texts) - for_texts + 1} more"]
        if self._table is not None:
            texts += list(self._table(self._size().columns - 1, most - len(texts)))[: most - len(texts)]
        self._n_drawn = len(texts)
        return "\n".join(self._fitting(text) for text in texts)

    def _fitting(self, text: str) -> str:
        """The line cut to the terminal's width: of a longer one the first rows would stay."""
        line = Text(text)
        line.truncate(max(1, self._size().columns - 1), overflow="ellipsis")
        return line.plain

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = os.terminal_size((0, 0))
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


CONSOLE = Console()
"""Of this process."""
