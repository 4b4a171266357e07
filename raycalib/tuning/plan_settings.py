"""What ``--plan`` assumes of data, machines and prices that it does not look at."""

from dataclasses import dataclass
import math

from raycalib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """Assumptions of a plan of memory, time and cost, which no result depends on; limits of the source hold too.

    Attributes:
        rows: labelled answers to tune on, of a model and style.
        val_rows: labelled answers that steps are chosen by, read at each evaluation.
        calibrate_rows: labelled answers that temperatures are fitted on.
        test_rows: answers of each evaluation set whose size is not known without reading it.
        tokens_per_row: of a row in a pass: question, answer and query, and the true answer once more.
        eval_tokens_per_row: of a row that is evaluated on; few-shot examples make it long.
        answer_tokens: of a true answer, the positions where tuned and base model are compared.
        gpu: whose memory, speed and price are reckoned with: ``L40S``, ``A100``, ``H100``, ``H200``, ``B200``, or
            another of the file that ``prices`` names.
        prices: a JSON file of GPUs, their dollars an hour, speed and memory, in place of the one that comes with
            raycalib, which has list prices of August to November 2026.
        gpus: how many at once the hours on the clock are told for.
        gpu_gib: memory of a GPU in GiB, as the driver reports it: 22 to 23.6 for cards sold as 24 GB, 79 for 80 GB.
            None takes that of the GPU that torch sees, or the table's of ``gpu``.
    """

    rows: int = 20_000
    val_rows: int = 1_000
    calibrate_rows: int = 1_000
    test_rows: int = 2_000
    tokens_per_row: int = 300
    eval_tokens_per_row: int = 300
    answer_tokens: int = 12
    gpu: str = "H100"
    prices: str | None = None
    gpus: int = 8
    gpu_gib: float | None = None

    def __post_init__(self) -> None:
        counts = ("rows", "val_rows", "calibrate_rows", "test_rows", "tokens_per_row", "eval_tokens_per_row", "gpus")
        problems = [
            f"planning.{name}: {getattr(self, name)} is not allowed; at least 1"
            for name in (*counts, "answer_tokens")
            if getattr(self, name) < 1
        ]
        if self.answer_tokens >= self.tokens_per_row:
            problems.append(
                f"planning.answer_tokens: {self.answer_tokens} is not allowed; below planning.tokens_per_row "
                f"({self.tokens_per_row}), which counts the question too"
            )
        if self.gpu_gib is not None and not 0 < self.gpu_gib < math.inf:
            problems.append(f"planning.gpu_gib: {self.gpu_gib} is not allowed; above 0")
        if problems:
            raise ConfigError("; ".join(problems))
