"""What ``--plan`` assumes of data and machines that it does not look at."""

from dataclasses import dataclass
import math

from raycalib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """Assumptions of a plan of memory and time; nothing but the plan depends on them.

    Attributes:
        rows: labelled answers to tune on.
        val_rows: labelled answers that steps are chosen by, read at each evaluation.
        tokens_per_row: of a row in a pass: question, answer and query, and the true answer once more.
        answer_tokens: of a true answer, the positions where tuned and base model are compared.
        gpu_gib: memory of a GPU in GiB, as the driver reports it: 22 to 23.6 for cards sold as 24 GB, 79 for 80 GB.
            None takes that of the GPU that torch sees, or 79.
    """

    rows: int = 20_000
    val_rows: int = 1_000
    tokens_per_row: int = 300
    answer_tokens: int = 12
    gpu_gib: float | None = None

    def __post_init__(self) -> None:
        problems = [
            f"planning.{name}: {getattr(self, name)} is not allowed; at least 1"
            for name in ("rows", "val_rows", "tokens_per_row", "answer_tokens")
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
