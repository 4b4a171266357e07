"""What was compared with golden values, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of compared values, differences, and differences that have a reason."""

    compared: int = 0
    differences: list[str] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)

    def compare(self, where: str, ours: object, golden: object, reason: str | None = None) -> None:
        """Counts one value; a difference is explained where there is a reason for it."""
        self.compared += 1
        if ours != golden:
            self.differ(f"{where}: raycalib {_shown(ours)}, golden {_shown(golden)}", reason)

    def differ(self, line: str, reason: str | None) -> None:
        """Keeps a difference."""
        if reason is None:
            self.differences.append(line)
        else:
            self.explained[reason] += 1


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
