"""Questions that are only asked → a calibrated model's answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from raycalib.bundles.answer import Answer
from raycalib.bundles.bundle import open_bundle
from raycalib.bundles.calibrated_model import CalibratedModel
from raycalib.errors import ConfigError
from raycalib.lm.names import DtypeName
from raycalib.records import Row
from raycalib.stages.workers.model import use_given_threads
from raycalib.stages.workers.rows import all_or_each


@dataclass(frozen=True, kw_only=True)
class ToldConfig:
    """What a worker with a calibrated model needs.

    Attributes:
        bundle: its place.
        method: of the bundle.
        base: of the base model, where it is not where the bundle says.
        use_gpu: where it computes.
        dtype: of its weights.
        max_batch_tokens: token budget of a batch, padding included.
    """

    bundle: str
    method: str
    base: str | None
    use_gpu: bool
    dtype: DtypeName
    max_batch_tokens: int


class ToldWorker:
    """Answers with their confidences; one set of weights does both."""

    def __init__(self, config: ToldConfig) -> None:
        use_given_threads()
        self.model = CalibratedModel(
            open_bundle(config.bundle),
            base=config.base,
            device="cuda" if config.use_gpu else "cpu",
            dtype=config.dtype,
            method=config.method,
            max_batch_tokens=config.max_batch_tokens,
        )
        self.has_options = self.model.bundle.record.style == "choice"

    def process(self, rows: list[Row]) -> list[Row]:
        """The rows with their answers; one that cannot be asked keeps its place with its error."""
        return all_or_each(rows, self._told, lambda row, error: row | _told(Answer(text="", p_correct=None), error))

    def _told(self, rows: Sequence[Row]) -> list[Row]:
        options = [row["options"] for row in rows] if self.has_options else None
        try:
            answers = self.model.answer([row["question"] for row in rows], options, [row["context"] for row in rows])
        except ConfigError as error:  # a row's own: it is tried alone, and costs itself
            raise ValueError(str(error)) from error
        return [row | _told(answer) for row, answer in zip(rows, answers, strict=True)]


def _told(answer: Answer, error: str = "") -> Row:
    values = {name: value for name, value in answer.as_json().items() if not error or name != "reason"}
    return {**values, **({"error": error, "reason": error} if error else {"error": None})}
