"""The rule ``letter``: which option's letter an answer of the ``choice`` style is."""

import re
import unicodedata

ALONE = re.compile(r"[\W_]*([a-z])[\W_]*")
LED = re.compile(r"[\W_]*([a-z])\)[\W_]*\s\s*\S.*", re.DOTALL)
BRACKETED = re.compile(r"(?<![^\W_])[a-z]\)")


def letter_of(answer: str) -> str | None:
    """The one letter that the answer is, in lower case; None where it is none, or not clearly one.

    A letter may stand in brackets, quotes or stars and before a point, a colon or a bracket: ``(a``, ``a.``, ``a)``,
    ``(A)``, ``**a**``. With a closing bracket behind it a text may follow (``a) Paris``), unless that has another such
    letter in it (``a) or b)``).

    >>> [letter_of(answer) for answer in ("a", "(a", "A.", "a)", "(a)", "a) Paris", "a) or b)", "a dog", "ab")]
    ['a', 'a', 'a', 'a', 'a', 'a', None, None, None]
    """
    text = unicodedata.normalize("NFKC", answer).casefold().strip()
    if alone := ALONE.fullmatch(text):
        return alone[1]
    led = LED.fullmatch(text)
    return led[1] if led and len(BRACKETED.findall(text)) == 1 else None
