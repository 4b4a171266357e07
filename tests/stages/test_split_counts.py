"""Rows of one's own file by split, as they are said before anything is generated."""

from collections import Counter
from pathlib import Path

from raycalib.sources import SourceSettings, evaluation_sets, training_set
from raycalib.stages.questions import write_question_set
from raycalib.stages.split_counts import few_lines, split_line
from raycalib.storage import Location
from tests.sources.drawn import write


def test_what_became_of_the_rows_of_a_file(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n} + 1?", "answer": str(n + 1), "split": split}
        for n, split in enumerate(["train"] * 60 + ["val_select"] * 9 + ["val_calibrate"] * 50 + ["test"] * 21)
    ]
    source = SourceSettings(name=f"file:{write(tmp_path / 'own.jsonl', rows)}")
    counts = Counter[str]()
    for each in [training_set(source), *evaluation_sets(source, [])]:
        counts.update(write_question_set(each, "oe", 1, 100, Location(str(tmp_path / "out"))).manifest.counts)
    assert split_line(counts, ["oe"]) == "60 train, 9 val_select, 50 val_calibrate, 21 test"
    few = "9 oe questions in val_select are few to choose a step on, 20 are the least that says something"
    assert few_lines(counts, ["oe"]) == [few]
