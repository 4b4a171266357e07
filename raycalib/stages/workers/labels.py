"""Answer records → labelled answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from raycalib.judging import Grade, GraderName, grade, judge_prompt, shown_right_answer
from raycalib.judging.desk import DeskAddress
from raycalib.judging.outcome import JudgeEngineObject, Outcome
from raycalib.judging.prices import Price
from raycalib.judging.remote_judge import RemoteJudge
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.right_answer import right_texts
from raycalib.judging.settings import JudgeSettings
from raycalib.records import Row
from raycalib.stages.workers.rows import queried_text
from raycalib.storage import Location

if TYPE_CHECKING:  # it loads torch, which a judge on a server does not need
    from raycalib.stages.workers.model import ModelWorkerConfig

BY_STRING: dict[str, Any] = {
    "judge": None, "judge_prompt": None, "judged_on": None, "verdict": None, "retryable": False,
}  # fmt: skip
"""Of a row that no judge was asked about."""


@dataclass(frozen=True, kw_only=True)
class LabelWorkerConfig:
    """How answers are graded."""

    grader: GraderName


class LabelWorker:
    """Answer records → labelled answers, by comparing strings."""

    def __init__(self, config: LabelWorkerConfig) -> None:
        self.grader = config.grader

    def process(self, rows: list[Row]) -> list[Row]:
        """Labels; a row without an answer stays, unscored, with the reason."""
        return [label_by_string(row, self.grader) for row in rows]


def label_by_string(row: Row, grader: GraderName) -> Row:
    """The row with its label."""
    if row["error"]:
        graded = Grade(None, f"no answer: {row['error']}")
    else:
        graded = grade(row["target"], row["answer"], row["style"], grader, row.get("aliases") or ())
    return row | graded._asdict() | BY_STRING | {"grader": grader}


@dataclass(frozen=True, kw_only=True)
class JudgeWorkerConfig:
    """How a judge is asked.

    Attributes:
        settings: the judge.
        cache: of all judges' replies.
        desk: where key and permits come from; None for a judge that runs in the worker.
        price: of a server's tokens, looked up by the driver; None where it is not known.
        model: of a judge that runs in the worker.
        weights: what tells its weights from others under the same name.
    """

    settings: JudgeSettings
    cache: Location
    desk: DeskAddress | None = None
    price: Price | None = None
    model: "ModelWorkerConfig | None" = None
    weights: Mapping[str, Any] = field(default_factory=dict)

    def engine(self) -> JudgeEngineObject:
        """The judge."""
        cache = ReplyCache(self.cache, self.settings, self.weights)
        if self.desk is not None:
            return RemoteJudge(self.settings, cache, self.desk.connect(), self.price)
        from raycalib.stages.workers.local_judge import LocalJudge

        assert self.model is not None, "a judge has a desk or a model"
        return LocalJudge(self.model, cache)


class JudgeWorker:
    """Answer records → labelled answers, by asking a judge about the open-ended ones."""

    def __init__(self, config: JudgeWorkerConfig, engine: JudgeEngineObject | None = None) -> None:
        """Builds the engine from the configuration, where none is given."""
        self.settings = config.settings
        self.prompt = judge_prompt(config.settings.prompt)
        self.engine = engine or config.engine()
        self.knows_price = config.price is not None or config.model is not None
        self._told = self.engine.tally.as_dict()
        self._telling = Lock()

    def process(self, rows: list[Row]) -> list[Row]:
        """Labels, one per row and in order; what could not be asked is ``retryable``, with the reason."""
        asked = [row for row in rows if is_asked(row)]
        requests = [self.prompt.messages(queried_text(row), shown_right_answer(row), row["answer"]) for row in asked]
        outcomes = iter(self.engine.replies(requests) if requests else [])
        return [self._labelled(row, next(outcomes)) if is_asked(row) else label_by_string(row, "judge") for row in rows]

    def _labelled(self, row: Row, outcome: Outcome) -> Row:
        graded = Grade(None, outcome.reason) if outcome.text is None else self.prompt.parse(outcome.text)
        return (
            row
            | graded._asdict()
            | {
                "grader": "judge",
                "judge": outcome.model or self.settings.model,
                "judge_prompt": self.prompt.version,
                "judged_on": outcome.date or None,
                "verdict": outcome.text,
                "retryable": outcome.retryable,
            }
        )

    def take_figures(self) -> dict[str, float]:
        """What asking took since the last call, for any shard."""
        with self._telling:
            now = self.engine.tally.as_dict()
            since = {name: value - self._told[name] for name, value in now.items()}
            self._told = now
        if not self.knows_price:
            del since["cost_usd"]  # unknown, and not 0
        return since


def is_asked(row: Row) -> bool:
    """Whether a judge is needed: letters are compared, and without an answer or a right answer there is no question."""
    return row["style"] != "choice" and not row["error"] and bool(right_texts(row))
