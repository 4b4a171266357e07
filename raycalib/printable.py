"""Text from data and files made fit for a terminal: what is not seen, or steers how the rest is seen, is spelled out,
and secrets are not in it.

An escape sequence can clear a screen or change a title, a change of direction can show a text backwards. Letters of
all scripts, emoji and the joiners inside them stay.
"""

import json
from typing import Any
import unicodedata

from raycalib.secrets import hide, hide_all

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control and format characters, lone surrogates, line and paragraph separators."""

JOINERS = "\u200c\u200d"
"""Part of Persian words and of emoji such as families; they move nothing."""


class _Escapes(dict[int, str]):
    """A table for ``str.translate`` that fills itself with the characters it meets."""

    def __init__(self, kept: str) -> None:
        super().__init__()
        self.kept = kept

    def __missing__(self, code: int) -> str:
        character = chr(code)
        stays = character in self.kept or unicodedata.category(character) not in UNSEEN
        self[code] = self.spelled(character) if not stays else character
        return self[code]

    def spelled(self, character: str) -> str:
        """The character in plain ASCII, as Python writes it."""
        return character.encode("unicode_escape").decode("ascii")


class _JsonEscapes(_Escapes):
    def spelled(self, character: str) -> str:
        """The character as JSON writes it, beyond U+FFFF in two halves."""
        return json.dumps(character)[1:-1]


_ONE_LINE = _Escapes(JOINERS)
_LINES = _Escapes(f"{JOINERS}\n\t")
_JSON = _JsonEscapes(JOINERS)


def printable_line(text: str) -> str:
    r"""The text in one line, with control, format and direction characters spelled out.

    >>> printable_line("a\x1b[2J\nb\u202e")
    'a\\x1b[2J\\nb\\u202e'
    """
    return hide(text).translate(_ONE_LINE)


def printable_lines(text: str) -> str:
    r"""The same, where line breaks (``\n``) and tabs stay.

    >>> printable_lines("a\r\n\tb")
    'a\\r\n\tb'
    """
    return hide(text).translate(_LINES)


def printable_json(value: Any) -> str:
    r"""One line of JSON that is read back as the value, with such characters as ``\uXXXX``.

    >>> printable_json({"q": "é\x9b\u202e"})
    '{"q": "é\\u009b\\u202e"}'
    """
    return json.dumps(hide_all(value), ensure_ascii=False).translate(_JSON)
