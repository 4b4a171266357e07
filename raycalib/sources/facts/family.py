"""Facts and families of facts: the building blocks of the embedded questions.

A *family* is one relation (country → capital) with several phrasings of its question;
a *fact* is one instance of it (France → Paris) with plausible wrong answers.
Facts of different families that speak of one thing share its *entity*.
"""

from collections.abc import Callable, Iterable, Sequence
import csv
from dataclasses import dataclass
from importlib import resources

from raycalib.errors import DataError

MIN_DISTRACTORS = 3
MAX_DISTRACTORS = 8


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One true statement: what is asked about, and the answer.

    Attributes:
        family: name of the relation, e.g. ``country_capital``.
        entity: stable key of the thing asked about, shared between families, e.g. ``country:France``.
        subject: how the question names the entity, e.g. ``France``.
        answer: the only right answer.
        distractors: between 3 and 8 plausible wrong answers, nearest first.
        rank: place of the entity in its table, 0 for the best known.
    """

    family: str
    entity: str
    subject: str
    answer: str
    distractors: tuple[str, ...]
    rank: int


@dataclass(frozen=True, kw_only=True)
class Family:
    """One relation: its phrasings (each holds ``{subject}`` once) and its facts."""

    name: str
    phrasings: tuple[str, ...]
    facts: tuple[Fact, ...]


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of ``tables/<name>.csv``, in file order: the best known entity first.

    Raises:
        DataError: a row has more or fewer cells than the header.
    """
    text = resources.files(__package__).joinpath("tables", f"{name}.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"tables/{name}.csv line {line}: expected the header's columns, got {row}")
    return rows


def make_family(
    name: str,
    kind: str,
    phrasings: Sequence[str],
    pairs: Iterable[tuple[str, str]],
    near: Callable[[str, str], Iterable[str]] | None = None,
) -> Family:
    """The family of the facts ``subject → answer``, in the order given (best known first).

    Args:
        name: the family's name.
        kind: kind of entity; ``kind:subject`` is the entity's key.
        phrasings: question templates.
        pairs: (subject, answer); pairs with an empty answer are left out but keep their rank.
        near: (subject, answer) → wrong answers in order of plausibility. Answers of other subjects of
            the family fill what is missing, those nearest in rank first. The right answer, repeats and
            empty strings are removed here.

    Raises:
        DataError: a fact has fewer than three distractors, a subject repeats, or a phrasing lacks its place.
    """
    for phrasing in phrasings:
        if phrasing.count("{subject}") != 1:
            raise DataError(f"family {name}: phrasing {phrasing!r} must hold {{subject}} once")
    ranked = [(rank, subject, answer) for rank, (subject, answer) in enumerate(pairs) if answer]
    if len({subject for _, subject, _ in ranked}) != len(ranked):
        raise DataError(f"family {name}: a subject occurs twice")
    answers = [answer for _, _, answer in ranked]
    facts = []
    for place, (rank, subject, answer) in enumerate(ranked):
        offered = list(near(subject, answer)) if near else []
        wrong = _distractors(answer, offered, answers, place)
        if len(wrong) < MIN_DISTRACTORS:
            raise DataError(f"family {name}: {subject!r} has {len(wrong)} wrong answers, needs {MIN_DISTRACTORS}")
        facts.append(
            Fact(family=name, entity=f"{kind}:{subject}", subject=subject, answer=answer, distractors=wrong, rank=rank)
        )
    return Family(name=name, phrasings=tuple(phrasings), facts=tuple(facts))


def _distractors(answer: str, offered: Sequence[str], answers: Sequence[str], place: int) -> tuple[str, ...]:
    """Up to eight wrong answers: those offered first, then the answers of the nearest other facts."""
    chosen = dict.fromkeys(text for text in offered if text and text != answer)
    for distance in range(1, len(answers)):
        if len(chosen) >= MAX_DISTRACTORS:
            break
        for index in (place - distance, place + distance):
            if 0 <= index < len(answers) and answers[index] != answer:
                chosen.setdefault(answers[index])
    return tuple(chosen)[:MAX_DISTRACTORS]
