"""What is left on a terminal of a stream of text, for tests of lines that are replaced."""

import fcntl
import os
import re
import struct
import termios

STYLE = re.compile(r"\x1b\[[0-9;]*m")
CLEAR_LINE = "\x1b[K"


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
    column = 0
    text = STYLE.sub("", stream)
    while text:
        if text.startswith(CLEAR_LINE):
            rows[-1], text = rows[-1][:column], text.removeprefix(CLEAR_LINE)
            continue
        character, text = text[0], text[1:]
        assert character in "\r\n" or character.isprintable(), f"{character!r} before {text[:40]!r}"
        if character == "\r":
            column = 0
        elif character == "\n":
            rows.append([])
        else:
            if column == columns:  # a terminal goes on in the next line, which \r does not come back from
                rows.append([])
                column = 0
            rows[-1][column:] = [*rows[-1][column:column], character, *rows[-1][column + 1 :]]
            column += 1
    return ["".join(row).rstrip() for row in rows]
