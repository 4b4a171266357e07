"""What was compared with golden values, and what came of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike


@dataclass
class Tally:
    """Counts of compared values, differences, differences that have a reason, and values that nothing is held against.

    ``explained`` and ``not_compared`` count by reason.
    """

    compared: int = 0
    differences: list[str] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)
    not_compared: Counter[str] = field(default_factory=Counter)

    def compare(self, where: str, ours: object, golden: object, reason: str | None = None) -> None:
        """Counts one value; a difference is explained where there is a reason for it."""
        self.compared += 1
        if ours != golden:
            self.differ(f"{where}: raycalib {_shown(ours)}, golden {_shown(golden)}", reason)

    def compare_close(
        self,
        where: str,
        ours: ArrayLike,
        golden: ArrayLike,
        *,
        rtol: float = 0.0,
        atol: float = 0.0,
        reason: str | None = None,
    ) -> None:
        """Counts one number or array of numbers, equal where |ours - golden| <= atol + rtol |golden| throughout."""
        self.compared += 1
        left, right = np.asarray(ours, dtype=float), np.asarray(golden, dtype=float)
        if left.shape != right.shape or not np.allclose(left, right, rtol=rtol, atol=atol):
            self.differ(f"{where}: raycalib {_shown(left.tolist())}, golden {_shown(right.tolist())}", reason)

    def differ(self, line: str, reason: str | None) -> None:
        """Keeps a difference."""
        if reason is None:
            self.differences.append(line)
        else:
            self.explained[reason] += 1

    def leave_out(self, reason: str, n: int = 1) -> None:
        """Counts golden values that raycalib has nothing to hold against."""
        self.not_compared[reason] += n

    def account(self, where: str, names: Iterable[str], read: Collection[str], left_out: Mapping[str, str]) -> None:
        """Every name in a golden file is read, or left out for a reason; any other is a difference."""
        for name in names:
            if name in left_out:
                self.leave_out(left_out[name])
            elif name not in read:
                self.differ(f"{where}/{name}: nothing compares it", None)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
