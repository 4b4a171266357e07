"""What is left on a terminal of a stream of text, for tests of lines that are replaced."""

import fcntl
import os
import re
import struct
import termios

STYLE = re.compile(r"\x1b\[[0-9;]*m")
CLEAR_LINE = "\x1b[K"
LINE_UP = "\x1b[1A"


def open_terminal(columns: int) -> tuple[int, int]:
    """A pseudo-terminal of this width: the end to read from, and the end for a program."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    return ours, theirs


def read_all(ours: int) -> str:
    """What came to the end to read from, until no program has the other end open."""
    content = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so where the other end is closed
            part = b""
        if not part:
            os.close(ours)
            return content.decode(errors="backslashreplace")
        content += part


def screen_of(stream: str, columns: int = 120) -> list[str]:
    """The lines on the screen, without styles and spaces at the end; another escape sequence is an error."""
    rows: list[list[str]] = [[]]
    row = column = 0
    text = STYLE.sub("", stream)
    while text:
        if text.startswith(CLEAR_LINE):
            rows[row], text = rows[row][:column], text.removeprefix(CLEAR_LINE)
            continue
        if text.startswith(LINE_UP):
            assert row, "there is no line above the first"
            row, text = row - 1, text.removeprefix(LINE_UP)
            continue
        character, text = text[0], text[1:]
        assert character in "\r\n" or character.isprintable(), f"{character!r} before {text[:40]!r}"
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        else:
            if column == columns:  # a terminal goes on in the next line, which \r does not come back from
                row, column = row + 1, 0
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += " " * (column - len(rows[row]))
            rows[row][column:] = [character, *rows[row][column + 1 :]]
            column += 1
        rows += [[] for _ in range(row + 1 - len(rows))]
    while len(rows) > row + 1 and not rows[-1]:  # erased, below where the next text comes
        rows.pop()
    return ["".join(row).rstrip() for row in rows]
