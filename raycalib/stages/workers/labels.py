"""Answer records → labelled answers."""

from dataclasses import dataclass

from raycalib.judging import Grade, GraderName, grade
from raycalib.records import Row


@dataclass(frozen=True, kw_only=True)
class LabelWorkerConfig:
    """How answers are graded."""

    grader: GraderName


class LabelWorker:
    """Answer records → labelled answers."""

    def __init__(self, config: LabelWorkerConfig) -> None:
        self.grader = config.grader

    def process(self, rows: list[Row]) -> list[Row]:
        """Labels; a row without an answer stays, unscored, with the reason."""
        labelled = []
        for row in rows:
            if row["error"]:
                graded = Grade(None, f"no answer: {row['error']}")
            else:
                graded = grade(row["target"], row["answer"], row["style"], self.grader)
            labelled.append(row | graded._asdict() | {"grader": self.grader})
        return labelled
