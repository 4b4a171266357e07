"""A pool none of whose workers can run, since no node holds one or others use all, says so and ends after a while.

Where other pools of this run are at work it waits for them without a bound: they come to their end. Where the run
itself is ended it ends at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
import threading
import time
from typing import Any, NamedTuple
from uuid import uuid4

from ray.data import Dataset
from ray.data._internal.execution.execution_callback import ExecutionCallback

from raycalib.stages.chains.stopping import check_stopped, stop_events
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageError
from raycalib.stages.pools.room import lack_of_free_resources, lack_of_workers

LOOK_EVERY_S = 15.0
SAY_EVERY_S = 30.0


class Needs(NamedTuple):
    """What a pool's workers need, each.

    Attributes:
        cpus, gpus: that a node has to have.
        limit_s: for so long none may fit.
        takes_cpus: what a node has is to be free, too.
    """

    cpus: float
    gpus: float
    limit_s: float
    takes_cpus: bool = True


class Standstill(ExecutionCallback):
    """Looks now and then, from Ray Data's own loop, whether any node holds a worker and has it free."""

    def __init__(self, title: str, needs: Needs, ended: tuple[threading.Event, ...] = ()) -> None:
        """Of a stage whose workers need so much; ``ended`` are the events that end the run."""
        self.title, self.needs, self.ended = title, needs, ended
        self.looked = time.monotonic()
        self.since: float | None = None
        self.said = 0.0

    def on_execution_step(self, executor: Any) -> None:
        """Says what is lacking; raises StageError where it is lacking for too long, StoppedError at the run's end."""
        check_stopped(self.ended)
        now = time.monotonic()
        if now - self.looked < min(LOOK_EVERY_S, self.needs.limit_s / 2):
            return
        self.looked = now
        lack = lack_of_workers(self.needs.cpus, self.needs.gpus)
        if not lack:
            lack = self._lack_beside_others(executor)
        if not lack:
            self.since = None
            return
        self.since = now if self.since is None else self.since
        waited = now - self.since
        if waited >= self.needs.limit_s:
            raise StageError(
                f"{self.title}: {lack}; waited {waited:.0f} s (--ray.wait-for-nodes-s); run the same command again "
                "to go on once there is one"
            )
        if now - self.said >= SAY_EVERY_S:
            self.said = now
            say(f"  {self.title}: {lack}; waiting since {waited:.0f} s")

    def _lack_beside_others(self, executor: Any) -> str:
        """What is lacking though a node holds a worker; empty where those who have it belong to this run."""
        if not self.needs.takes_cpus:
            return ""
        runs = not no_actor_runs(executor)
        AT_WORK.mark(self, runs)
        if runs or AT_WORK.has_others(self):
            return ""
        return lack_of_free_resources(self.needs.cpus, self.needs.gpus)


class AtWork:
    """The pools of this process that have a worker at work; threads may call it."""

    def __init__(self) -> None:
        self._pools = set[Standstill]()
        self._lock = threading.Lock()

    def mark(self, pool: Standstill, works: bool) -> None:
        """Keeps whether a pool is at work."""
        with self._lock:
            (self._pools.add if works else self._pools.discard)(pool)

    def has_others(self, pool: Standstill) -> bool:
        """Whether any but this one is."""
        with self._lock:
            return bool(self._pools - {pool})


AT_WORK = AtWork()


def no_actor_runs(executor: Any) -> bool:
    """Whether actors are waited for and none is there."""
    pools = [operator.get_actor_info() for operator in executor._topology]
    return any(pool.pending for pool in pools) and not any(pool.running or pool.restarting for pool in pools)


_WATCHING: dict[str, Standstill] = {}
"""By name: Ray Data copies and sends what it calls, which a Standstill with its run's events does not bear."""


def _watching(name: str) -> Standstill:
    return _WATCHING[name]


@contextmanager
def watched(dataset: Dataset, title: str, needs: Needs) -> Iterator[None]:
    """Has a dataset's work looked at; entered before it is mapped.

    Ray Data's own guard ends any work of which nothing is done for half an hour: a shard may take longer, where a
    server allows a few requests a minute.
    """
    seen, name = Standstill(title, needs, stop_events()), uuid4().hex
    _WATCHING[name] = seen
    dataset.context.execution_no_progress_timeout_s = -1
    dataset.context.custom_execution_callback_classes = [partial(_watching, name)]
    try:
        yield
    finally:
        AT_WORK.mark(seen, False)
        del _WATCHING[name]
