"""What failed in a run, and why: a hole in its report, while the others go on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from raycalib.errors import RaycalibError
from raycalib.stages.combo import Combo
from raycalib.stages.lines.progress import say


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A hole.

    Attributes:
        model: its name.
        style: of the combo.
        set: of questions; empty for all of them.
        method: that has no figures; empty for all of them.
        reason: the cause and its remedy, in a line.
    """

    model: str
    style: str
    set: str = ""
    method: str = ""
    reason: str

    @property
    def title(self) -> str:
        """What failed, as a user reads it."""
        return " ".join(part for part in (self.model, self.style, self.set, self.method) if part)


class Failures:
    """Of one run; threads may add to it."""

    def __init__(self) -> None:
        self.all: list[Failure] = []
        self._errors: list[RaycalibError] = []
        self._lock = Lock()

    def add(self, combo: Combo, error: RaycalibError, *, question_set: str = "", method: str = "") -> None:
        """Keeps a failure, and says it."""
        reason = " ".join(str(error).split())
        failure = Failure(model=combo.model.name, style=combo.style, set=question_set, method=method, reason=reason)
        with self._lock:
            is_known = reason in (known.reason for known in self.all)
            self.all.append(failure)
            self._errors.append(error)
        say(f"  {failure.title}: failed: {'as above' if is_known else reason}")

    def of(self, combo: Combo) -> list[Failure]:
        """Those of a combo."""
        return [each for each in self.all if (each.model, each.style) == (combo.model.name, combo.style)]

    def of_methods(self, combo: Combo, question_set: str) -> dict[str, str]:
        """By method of a combo that failed, on a set or on all, why."""
        return {each.method: each.reason for each in self.of(combo) if each.method and each.set in ("", question_set)}

    def has_lost(self, combo: Combo) -> bool:
        """Whether nothing of the combo goes on."""
        return any(not each.set and not each.method for each in self.of(combo))

    def stop_if_none(self, left: Sequence[Combo]) -> None:
        """Raises the first error where no combo is left."""
        if not left and self._errors:
            raise self._errors[0]

    def records(self) -> list[dict[str, Any]]:
        """Plain values, as the report has them."""
        return [asdict(each) for each in self.all]
