"""The rule ``letter``: which option's letter an answer of the ``choice`` style is."""

import re
import unicodedata

ALONE = re.compile(r"[\W_]*([a-z])[\W_]*")
LED = re.compile(r"[\W_]*([a-z])\)([\W_]*\s\s*\S.*)", re.DOTALL)
BRACKETED = re.compile(r"(?<![^\W_])[a-z]\)")
LETTER = r"[(\"'*]*(?:[b-hj-z]\b|[ai]\b(?=\W*$|\s+(?:is|are)\b))"
"""Of an option, and not the words ``a`` and ``i``."""

ANOTHER = re.compile(
    r"(?:(?:and|or|nor|but|plus|not)\b|[&/+,])\s*(?:(?:option|answer|choice|letter)\s+)?"
    rf"{LETTER}|{LETTER}(?=\W*$|\W+(?:is|are)\b)"
)
DENIED = re.compile(r"(?:is|was)\s+(?:wrong|incorrect|false)\b|(?:is\s+not|isn['’]t)\s+(?:right|correct|true|the)\b")
OTHER_LETTER = re.compile(
    r"[,;.!?—–]\s*(?:or|so|but|no|not|actually|rather|wait)\b[\s,]*"
    rf"(?:(?:the|answer|option|choice|it|it['’]s|is|maybe|perhaps|rather|also|letter)\b[\s,]*)*{LETTER}"
)
"""Another option behind the text, such as in ``a) Paris, or b``."""


def letter_of(answer: str) -> str | None:
    """The one letter that the answer is, in lower case; None where it is none, or not clearly one.

    A letter may stand in brackets, quotes or stars and before a point, a colon or a bracket: ``(a``, ``a.``, ``a)``,
    ``(A)``, ``**a**``. With a closing bracket behind it a text may follow (``a) Paris``), unless that has another such
    letter in it, names another option, or says that this one is wrong (``a) or b``, ``A) and C``, ``a) is wrong``).

    >>> [letter_of(answer) for answer in ("a", "(a", "A.", "a)", "(a)", "a) Paris", "a) or b)", "a dog", "ab")]
    ['a', 'a', 'a', 'a', 'a', 'a', None, None, None]
    """
    text = unicodedata.normalize("NFKC", answer).casefold().strip()
    if alone := ALONE.fullmatch(text):
        return alone[1]
    led = LED.fullmatch(text)
    if led is None or len(BRACKETED.findall(text)) > 1:
        return None
    return None if _is_more_than_its_text(led[1], led[2]) else led[1]


def _is_more_than_its_text(letter: str, said: str) -> bool:
    """Whether what stands behind an option's letter names another option, or says that this one is wrong."""
    start = said.lstrip(" *_`\"'")
    if DENIED.match(start) or OTHER_LETTER.search(said):
        return True
    return ANOTHER.match(start) is not None and start.rstrip(".*_`\"' ") != letter
