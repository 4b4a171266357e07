"""The form in which ``exact`` compares answers: what a reader would call spelled alike becomes equal."""

import re
import unicodedata

MINUS = str.maketrans({"−": "-", "‐": "-", "‑": "-", "–": "-", "’": "'", "‘": "'"})
NUMBER = re.compile(r"(?<![\w.,])([-+]?)(\d{1,3}(?:,\d{3})+|\d+)?(?:\.(\d+))?(?![\w]|[.,]\d)")
INSIDE_WORD = re.compile(r"(?<=[^\W\d_])['.](?=[^\W\d_])")
BETWEEN_DIGITS = re.compile(r"(?<=\d)([-/:.])(?=\d)")
SIGN = re.compile(r"(?<![\w)\]])-(?=[$€£]?\d|[√π∞]|[a-z]\b)")
TERM = r"[-+]?(?:[$€£]?(?:\d[\d./]*|\.\d+)[a-zπ]?|[a-zπ∞]|inf(?:inity)?|√\d+)"
INTERVAL = re.compile(rf"(?<!\w)([\[\](])\s*({TERM})\s*[,;]\s*({TERM})\s*([\[\])])(?!\w)")
SUPERSCRIPTS = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
KEPT = "%#&@"
ARTICLES = ("a", "an", "the")


def normalized(text: str) -> str:
    """The text's words, one space apart.

    - Compatibility forms (full-width letters, ligatures) by NFKC, then case, are folded; characters without width go;
      superscripts become powers (``10²`` is ``10^2``).
    - Numbers lose thousands separators, a plus sign and zeros at the end of a fraction; a minus sign before a number or
      a lone letter stays.
    - Apostrophes and the points of abbreviations go; other punctuation becomes a space, but ``% # & @``, symbols such
      as ``+`` and ``$``, and ``- / : .`` between digits are kept.
    - Brackets of intervals stay where one of them is square: ``[0,1)`` is neither ``(0,1]`` nor ``[0,1]``.
    - An article before other words goes.

    >>> normalized("The  U.S.A., 1,000.50"), normalized("4.0"), normalized("an apple")
    ('usa 1000.5', '4', 'apple')
    >>> normalized("-5") == normalized("5"), normalized("3:30") == normalized("330")
    (False, False)
    >>> normalized("[0, 1)"), normalized("[0,1)") == normalized("(0,1]")
    ('[0,1)', False)
    """
    folded = _folded(text)
    parts, end = [], 0
    for interval in INTERVAL.finditer(folded):
        if interval[1] + interval[4] != "()":  # round brackets may be any bracket's
            parts += [_plain(folded[end : interval.start()]), _interval(interval)]
            end = interval.end()
    spaced = " ".join([*parts, _plain(folded[end:])]).split()
    return " ".join(spaced[1:] if len(spaced) > 1 and spaced[0] in ARTICLES else spaced)


def _plain(folded: str) -> str:
    """Words and numbers of a folded text, punctuation as spaces."""
    numbers = NUMBER.sub(_canonical, f" {folded} ")
    words = INSIDE_WORD.sub("", BETWEEN_DIGITS.sub(_keep, SIGN.sub("\x00-", numbers)))
    return "".join(_space_for_punctuation(words)).replace("\x00", "")


def only_folded(text: str) -> str:
    """The text with its punctuation: compatibility forms, case, dashes and spaces alone are made alike.

    >>> only_folded(" −.−. "), normalized("-.-.")
    ('-.-.', '')
    """
    return " ".join(_folded(text).split())


def _folded(text: str) -> str:
    spelled = SUPERSCRIPTS.sub(_power, text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", spelled).casefold()).translate(MINUS)
    return "".join(character for character in folded if unicodedata.category(character) != "Cf" and character != "\x00")


def _interval(match: re.Match[str]) -> str:
    """An interval as one word, with all of its marks."""
    opening, low, high, closing = match.groups()
    low, high = (NUMBER.sub(_canonical, f" {term} ").strip() for term in (low, high))
    return f"{opening}{low},{high}{closing}"


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
