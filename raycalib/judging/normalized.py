"""The form in which ``exact`` compares answers: what a reader would call spelled alike becomes equal."""

import re
import unicodedata

MINUS = str.maketrans({"−": "-", "‐": "-", "‑": "-", "–": "-", "’": "'", "‘": "'"})
NUMBER = re.compile(r"(?<![\w.,])([-+]?)(\d{1,3}(?:,\d{3})+|\d+)?(?:\.(\d+))?(?![\w]|[.,]\d)")
INSIDE_WORD = re.compile(r"(?<=[^\W\d_])['.](?=[^\W\d_])")
BETWEEN_DIGITS = re.compile(r"(?<=\d)([-/:.])(?=\d)")
SIGN = re.compile(r"(?<![\w)\]])-(?=[$€£]?\d)")
SUPERSCRIPTS = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
KEPT = "%#&@"
ARTICLES = ("a", "an", "the")


def normalized(text: str) -> str:
    """The text's words, one space apart.

    - Compatibility forms (full-width letters, ligatures) by NFKC, then case, are folded; characters without width go;
      superscripts become powers (``10²`` is ``10^2``).
    - Numbers lose thousands separators, a plus sign and zeros at the end of a fraction; a minus sign stays.
    - Apostrophes and the points of abbreviations go; other punctuation becomes a space, but ``% # & @``, symbols such
      as ``+`` and ``$``, and ``- / : .`` between digits are kept.
    - An article before other words goes.

    >>> normalized("The  U.S.A., 1,000.50"), normalized("4.0"), normalized("an apple")
    ('usa 1000.5', '4', 'apple')
    >>> normalized("-5") == normalized("5"), normalized("3:30") == normalized("330")
    (False, False)
    """
    spelled = SUPERSCRIPTS.sub(_power, text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", spelled).casefold()).translate(MINUS)
    visible = "".join(
        character for character in folded if unicodedata.category(character) != "Cf" and character != "\x00"
    )
    numbers = NUMBER.sub(_canonical, f" {visible} ")
    words = INSIDE_WORD.sub("", BETWEEN_DIGITS.sub(_keep, SIGN.sub("\x00-", numbers)))
    spaced = "".join(_space_for_punctuation(words)).replace("\x00", "").split()
    return " ".join(spaced[1:] if len(spaced) > 1 and spaced[0] in ARTICLES else spaced)


def _power(match: re.Match[str]) -> str:
    """Superscripts as ``^2``: compatibility forms alone would make 102 of 10²."""
    return f"^{unicodedata.normalize('NFKC', match.group())}"


def _canonical(match: re.Match[str]) -> str:
    sign, whole, fraction = match.groups()
    if whole is None and fraction is None:
        return match.group()
    digits = (whole or "0").replace(",", "")
    rest = (fraction or "").rstrip("0")
    negative = "-" if sign == "-" and (digits.strip("0") or rest) else ""
    return f"{negative}{digits}{'.' + rest if rest else ''}"


def _keep(match: re.Match[str]) -> str:
    return f"\x00{match[1]}"


def _space_for_punctuation(text: str) -> list[str]:
    """Punctuation behind a NUL is part of its word."""
    return [
        " "
        if unicodedata.category(character).startswith("P") and character not in KEPT and text[i - 1] != "\x00"
        else character
        for i, character in enumerate(text)
    ]
