"""Signs of life of jobs that are tuned: what each said last of what it is at, as far as the driver has heard."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
import json
import time


@dataclass(frozen=True, kw_only=True)
class Doing:
    """What a job is at.

    Attributes:
        at: in words, such as ``step 120/400``.
        step, steps: steps done, and of the whole job; 0 before the first.
        loss: of the last step that is known.
        val_nll, best_nll: of the last evaluation, and the least so far.
        tokens_per_s: read by all workers of the job.
        left_s: until it is done, about.
        is_over: nothing more will come.
    """

    at: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    val_nll: float | None = None
    best_nll: float | None = None
    tokens_per_s: float | None = None
    left_s: float | None = None
    is_over: bool = False

    @property
    def text(self) -> str:
        """One line, which ``parsed`` reads."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def parsed(cls, text: str) -> "Doing":
        """From its text; raises ValueError or TypeError where it is none."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Beat:
    """One sign of life: when it came by the driver's clock, of which job, and from which process."""

    heard_at: float
    key: str
    doing: Doing
    pid: str
    ip: str


class Beats:
    """The last sign of life of each job, by its key; one thread takes them, others read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, Beat] = {}

    def take(self, key: str, text: str, pid: str, ip: str) -> None:
        """Takes one that came; raises ValueError or TypeError where it is none."""
        self._last[key] = Beat(self._clock(), key, Doing.parsed(text), pid, ip)

    def of(self, key: str) -> Beat | None:
        """The job's last, if one came."""
        return self._last.get(key)

    def last(self, keys: Iterable[str]) -> Beat | None:
        """The newest of these jobs."""
        found = [beat for key in keys if (beat := self._last.get(key))]
        return max(found, key=lambda beat: beat.heard_at, default=None)


BEATS = Beats()
"""Of the jobs of this process's run."""
