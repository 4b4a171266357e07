"""A judge's reply → yes, no or unscored; only the whole first word counts."""

import re
import unicodedata

from raycalib.judging.grade import Grade

LABELS = {"yes": 1, "no": 0}
EMPHASIS = "*_`~#\"'“”‘’«»([{"
CLOSING = EMPHASIS + ")]}"
SHOWN = 30
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Not all of NFKC, which makes "No" of the sign for "number"."""


def parse_verdict(reply: str) -> Grade:
    r"""The verdict of a reply: 1 for yes, 0 for no, None with the reason where its first word is neither.

    Case, characters without width, markdown emphasis, quotes and brackets around the word do not matter, nor does what
    follows the word after a space or after ``. , ; : !`` or a dash. Words that contain a verdict ("eyes", "yes/no"),
    and reasoning before one, are no verdict.

    >>> parse_verdict("**Yes.**").query_label, parse_verdict("no, it is Rome").query_label
    (1, 0)
    >>> parse_verdict("Not yes")
    Grade(query_label=None, unscored_reason="the judge's first word is 'Not', neither yes nor no")
    """
    text = _visible(reply).strip()
    if not text:
        return Grade(None, "the judge's reply is empty")
    first = re.split(r"\s", text.lstrip(EMPHASIS + " \t\r\n"), maxsplit=1)[0]
    word = re.split(r"[.,;:!—–]", first, maxsplit=1)[0].rstrip(CLOSING)
    label = LABELS.get(word.casefold())
    if label is None:
        shown = (first or text)[:SHOWN]
        return Grade(None, f"the judge's first word is {shown!r}, neither yes nor no")
    return Grade(label)


def _visible(text: str) -> str:
    """Full-width forms folded, characters of the category Format taken out."""
    folded = text.translate(FULL_WIDTH)
    return "".join(character for character in folded if unicodedata.category(character) != "Cf")
