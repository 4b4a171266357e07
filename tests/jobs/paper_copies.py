"""Small local copies of all that the paper's recipe reads: its six models, its mixture's sources, and MMLU."""

from itertools import cycle, islice
from pathlib import Path
from random import Random
import shutil
from typing import Any

from raycalib.lm.names import HUB_IDS, embedded_root
from raycalib.sources.facts.catalogue import all_families
from raycalib.sources.facts.family import Fact
from raycalib.sources.hub import MMLU_TASKS, mixture_sources
from tests.sources.drawing.test_mixture import TEXT_COLUMNS, rows_of
from tests.sources.drawn import write

ROWS_OF_A_SPLIT = 40
BEST_KNOWN = 20
"""Facts of a family that come first in its table: of others the stand-ins know too few for labels of both classes."""
PLACES = ("choice", "sol", "option", "sentence_quiz", "answer")
NUMBERED = {"0": 0, "1": 1, "2": 2, "3": 3, "A": 0, "B": 1, "C": 2}


def write_models(root: Path) -> None:
    """The six names' directories, from the two stand-ins that come with the package."""
    for name in HUB_IDS:
        kind = "mistral-7b" if name.startswith("mistral") else "llama2-7b"
        shutil.copytree(embedded_root() / kind, root / name.replace(":", "-"))


def _facts() -> list[Fact]:
    """Facts that the stand-ins know and facts that they do not, mixed."""
    facts = [fact for family in all_families().values() for fact in family.facts[:BEST_KNOWN]]
    Random(0).shuffle(facts)
    return facts


def _question(fact: Fact) -> str:
    phrasing = all_families()[fact.family].phrasings[0]
    return phrasing.format(subject=fact.subject)


def _row(row: dict[str, Any], fact: Fact) -> dict[str, Any]:
    """A row with every column of the mixture's sources, about a fact; its right option is the second, as the row's."""
    first, *others = fact.distractors
    options = [first, fact.answer, *others[:2]]
    text = _question(fact)
    filled = row | dict.fromkeys(TEXT_COLUMNS.split(), text)
    filled |= {f"{stem}{end}": options[place] for stem in PLACES for end, place in NUMBERED.items()}
    filled |= {f"distractor{end}": option for end, option in zip((1, 2, 3), (first, *others), strict=False)}
    filled |= {"correct_answer": fact.answer, "endings": options}
    filled["choices"] = {"text": options, "label": list("ABCD")}
    filled["mc1_targets"] = {"choices": [fact.answer, first, *others[:2]], "labels": [1, 0, 0, 0]}
    return filled


def write_sources(root: Path) -> None:
    """All sources of the mixture, and MMLU's 57 tasks."""
    facts = cycle(_facts())
    for source in mixture_sources("oe") + mixture_sources("choice"):
        for split in {*source.splits.values(), source.shots_from}:
            rows = rows_of(source.name, ROWS_OF_A_SPLIT)
            write(root / source.name / f"{split}.jsonl", [_row(row, next(facts)) for row in rows])
    chance = Random(1)
    for task in MMLU_TASKS:
        for split, n in (("dev", 5), ("validation", 2), ("test", 2)):
            rows = []
            for fact in islice(facts, n):
                place = chance.randrange(4)
                options = list(fact.distractors[:3])
                options.insert(place, fact.answer)
                rows.append({"question": _question(fact), "choices": options, "answer": place})
            write(root / "mmlu" / task / f"{split}.jsonl", rows)
