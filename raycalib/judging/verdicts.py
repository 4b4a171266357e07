"""A judge's reply → yes, no or unscored: parser version 3, which reads what cannot be mistaken and nothing else.

Version 1 read the first word alone. Version 2 first takes off what surrounds a verdict without changing it (end-of-text
tokens, a finished think block, a fence, ``Answer:``, one JSON field), and no longer takes a first word for a verdict
that goes on as something else ("yes and no", "no idea"). Version 3 reads no verdict that is taken back later on
("No. Final verdict: yes"), or given with a reservation ("Yes, in part").
"""

import re
import unicodedata

from raycalib.judging.grade import Grade
from raycalib.judging.wrappings import unwrapped, without_label

LABELS = {"yes": 1, "no": 0}
EMPHASIS = "*_`~#\"'“”‘’«»([{"
CLOSING = EMPHASIS + ")]}"
SHOWN = 30
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Not all of NFKC, which makes "No" of the sign for "number"."""

SENTENCE = {
    "it", "it's", "its", "this", "that", "the", "they", "these", "those", "he", "she", "his", "her", "their", "there",
    "because", "since", "both", "according", "based", "proposed", "proposed_answer",
    "student", "student's", "right_answer", "i", "we", "you",
}  # fmt: skip
"""With one of these a sentence goes on behind a verdict that no sign ends, such as "yes it is"."""

RESERVATION = re.compile(
    r"[\s,;:(—–-]*(?:if|unless|except|provided|assuming|partly|partially|mostly|in part|to some extent)\b",
    re.IGNORECASE,
)
CLAUSE_END = re.compile(r"[.,;:!?—–→=<>{\r\n\u2028\u2029]|\s-+\s|->")
LINE_END = re.compile(r"[\r\n\u2028\u2029]+")

OTHER_AS_WELL = re.compile(r"[\W_]*(and|or|but|nor|&|/)?[\W_]*(yes|no)\b[\W_]*(.*)", re.DOTALL | re.IGNORECASE)
LOOKED_AT = 200
"""Characters behind a verdict: a server must not be able to send what takes minutes to read."""


def parse_verdict(reply: str) -> Grade:
    r"""The verdict of a reply: 1 for yes, 0 for no, None with the reason where it is not plainly one of them.

    Case, characters without width, markdown emphasis, quotes and brackets around the word do not matter, nor does what
    follows the word after ``. , ; : !``, a dash or a line break, unless it takes the verdict back. Words that contain a
    verdict ("eyes", "yes/no"), both verdicts, and reasoning before one outside a think block, are no verdict.

    >>> parse_verdict("**Yes.**").query_label, parse_verdict("no, it is Rome").query_label
    (1, 0)
    >>> parse_verdict("<think>It is Rome.</think>\n{\"verdict\": \"no\"}</s>").query_label
    0
    >>> parse_verdict("Not yes")
    Grade(query_label=None, unscored_reason="the judge's first word is 'Not', neither yes nor no")
    """
    text = _visible(reply).strip()
    if not text:
        return Grade(None, "the judge's reply is empty")
    inner = unwrapped(text)
    if inner.problem:
        return Grade(None, inner.problem)
    return _first_word(inner.text)


def _first_word(text: str) -> Grade:
    """What the first word says, where the rest does not take it back."""
    start = text.lstrip(EMPHASIS + " \t\r\n")
    first = re.split(r"\s", start, maxsplit=1)[0]
    bare = re.split(r"[.,;:!—–]", first, maxsplit=1)[0]
    word = bare.rstrip(CLOSING).casefold()
    label = LABELS.get(word)
    if label is None:
        return Grade(None, f"the judge's first word is {(first or text)[:SHOWN]!r}, neither yes nor no")
    rest = start[len(bare) :][:LOOKED_AT]
    if (both := OTHER_AS_WELL.match(rest)) and both[2].casefold() != word and (both[1] or not both[3]):
        return Grade(None, f"the judge says both: {text[:SHOWN]!r}")
    if not _goes_on(rest):
        return Grade(None, f"the judge's reply is {text[:SHOWN]!r}, which is no plain yes or no")
    if _is_taken_back(start[len(bare) :], word):
        return Grade(None, f"the judge says {word} and takes it back: {text[:SHOWN]!r}")
    return Grade(label)


def _is_taken_back(rest: str, word: str) -> bool:
    """Whether a later part of a sentence is the other verdict, or a later line has a label before anything else."""
    other = "no" if word == "yes" else "yes"
    if any(_says(part, other) for part in CLAUSE_END.split(rest)):
        return True
    named = (said for line in LINE_END.split(rest)[1:] if (said := without_label(line)) != line)
    return any(not _says(said, word) for said in named)


def _says(part: str, word: str) -> bool:
    """Whether a part of a sentence is a verdict: the word alone, or as the beginning of a sentence."""
    start = part.lstrip(EMPHASIS + " \t")
    if start[: len(word)].casefold() != word or re.match(r"[\w'’/-]", start[len(word) :]):
        return False
    return _goes_on(start[len(word) :])


def _goes_on(rest: str) -> bool:
    """Whether what stands behind a verdict leaves it as it is: nothing, a sign, another line, or a sentence."""
    if RESERVATION.match(rest[:LOOKED_AT]):
        return False
    following = re.match(r"[^\S\r\n\u2028\u2029]+(\w[\w']*)", rest.lstrip(CLOSING))
    return following is None or following[1].casefold().replace("’", "'") in SENTENCE


def _visible(text: str) -> str:
    """Full-width forms folded, characters of the category Format taken out."""
    folded = text.translate(FULL_WIDTH)
    return "".join(character for character in folded if unicodedata.category(character) != "Cf")
