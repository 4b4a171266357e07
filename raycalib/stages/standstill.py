"""A pool none of whose workers can run, since no node holds one or others use all, says so and ends after a while."""

from functools import partial
import time
from typing import Any

from ray.data import Dataset
from ray.data._internal.execution.execution_callback import ExecutionCallback

from raycalib.stages.output import StageError
from raycalib.stages.progress import say
from raycalib.stages.room import lack_of_free_resources, lack_of_workers

LOOK_EVERY_S = 15.0
SAY_EVERY_S = 30.0


class Standstill(ExecutionCallback):
    """Looks now and then, from Ray Data's own loop, whether any node holds a worker and has it free."""

    def __init__(self, title: str, cpus_each: float, gpus_each: float, limit_s: float) -> None:
        """Of a stage whose workers take so much; for so long none may fit."""
        self.title, self.cpus_each, self.gpus_each, self.limit_s = title, cpus_each, gpus_each, limit_s
        self.looked = time.monotonic()
        self.since: float | None = None
        self.said = 0.0

    def on_execution_step(self, executor: Any) -> None:
        """Says what is lacking; raises StageError where it is lacking for too long."""
        now = time.monotonic()
        if now - self.looked < min(LOOK_EVERY_S, self.limit_s / 2):
            return
        self.looked = now
        lack = lack_of_workers(self.cpus_each, self.gpus_each)
        if not lack and no_actor_runs(executor):
            lack = lack_of_free_resources(self.cpus_each, self.gpus_each)
        if not lack:
            self.since = None
            return
        self.since = now if self.since is None else self.since
        waited = now - self.since
        if waited >= self.limit_s:
            raise StageError(
                f"{self.title}: {lack}; waited {waited:.0f} s (--ray.wait-for-nodes-s); run the same command again "
                "to go on once there is one"
            )
        if now - self.said >= SAY_EVERY_S:
            self.said = now
            say(f"  {self.title}: {lack}; waiting since {waited:.0f} s")


def no_actor_runs(executor: Any) -> bool:
    """Whether actors are waited for and none is there."""
    pools = [operator.get_actor_info() for operator in executor._topology]
    return any(pool.pending for pool in pools) and not any(pool.running or pool.restarting for pool in pools)


def watch(dataset: Dataset, title: str, cpus_each: float, gpus_each: float, limit_s: float) -> None:
    """Has a dataset's work looked at; before it is mapped.

    Ray Data's own guard ends any work of which nothing is done for half an hour: a shard may take longer, where a
    server allows a few requests a minute.
    """
    dataset.context.execution_no_progress_timeout_s = -1
    made = partial(Standstill, title, cpus_each, gpus_each, limit_s)
    dataset.context.custom_execution_callback_classes = [made]
