"""Placement groups of Ray Train that nobody uses any more, and which hold their room for ever.

They stay where a run's controller is killed before Ray's own cleaner has heard of its group, or where that cleaner ends
with its node; also once the driver is gone (seen with Ray 2.60).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
import time
from typing import Any

import ray
from ray._private.state import jobs
from ray._raylet import PlacementGroupID
from ray.tune import Callback
from ray.util import placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

from raycalib.errors import StorageError
from raycalib.stages.lines.progress import say
from raycalib.storage import Location

UNUSED_FOR_S = 30.0
"""Workers take a group's room as soon as it is there; between two groups of a run are seconds."""

LOOK_EVERY_S = 5.0
DRIVERS = "ray_train_drivers"
"""In a run's directory: the drivers at work on it, by session and job, for the command after one that is killed."""

OF_TUNE, CREATED, REMOVED = "__tune", "CREATED", "REMOVED"


def groups_of(job: str) -> dict[str, str]:
    """States of the placement groups of a job, by id, those of Tune's own trials aside; an id ends with its job's."""
    return {
        group: about["state"]
        for group, about in placement_group_table().items()
        if group.endswith(job) and about["state"] != REMOVED and not about["name"].startswith(OF_TUNE)
    }


def remove_groups(groups: Collection[str]) -> None:
    """Gives their room back."""
    for group in groups:
        remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(group))))


@contextmanager
def own_groups_removed(out: Location) -> Iterator[None]:
    """Notes this driver in the run's directory while it tunes by several workers, and leaves no group of it."""
    context = ray.get_runtime_context()
    job, name = context.get_job_id(), f"{context.get_session_name()}-{context.get_job_id()}.json"
    before = groups_of(job).keys()
    (out / DRIVERS).write_json(name, {})
    try:
        yield
    finally:
        remove_groups(groups_of(job).keys() - before)
        with suppress(StorageError):  # what stays is read once more, and names nothing
            (out / DRIVERS / name).remove()


def remove_of_dead_drivers(out: Location) -> None:
    """Removes the groups of earlier commands on this run's directory that were killed on this cluster."""
    session = ray.get_runtime_context().get_session_name()
    noted = {name: name.removesuffix(".json").rpartition("-")[2] for name in (out / DRIVERS).names()}
    mine = {name: job for name, job in noted.items() if name.startswith(f"{session}-")}
    if not mine:
        return
    alive = {about["JobID"] for about in jobs() if not about["IsDead"]}
    for name, job in mine.items():
        if job not in alive:
            if groups := groups_of(job):
                remove_groups(groups)
                say(f"  {len(groups)} placement groups of a command that was killed are removed; they held room")
            (out / DRIVERS / name).remove()


class Orphans(Callback):
    """While trials of several workers are at work, removes groups of this driver's job that no worker uses; those that
    were there when it was made are somebody else's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._others = frozenset(groups_of(ray.get_runtime_context().get_job_id()))
        self._looked = -LOOK_EVERY_S
        self._unused_since: dict[str, float] = {}

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Looks every few seconds."""
        now = self.clock()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        states = groups_of(ray.get_runtime_context().get_job_id())
        mine = [group for group, state in states.items() if state == CREATED and group not in self._others]
        unused = unused_groups(mine)
        self._unused_since = {group: self._unused_since.get(group, now) for group in unused}
        over = [group for group, since in self._unused_since.items() if now - since >= UNUSED_FOR_S]
        if over:
            remove_groups(over)
            say(f"  {len(over)} placement groups that no worker used are removed; what asked for them was killed")


def unused_groups(groups: Collection[str]) -> list[str]:
    """Those of which all room is free."""
    if not groups:
        return []
    has, free = ray.cluster_resources(), ray.available_resources()
    return [
        group
        for group in groups
        if (held := [name for name in has if name.endswith(f"_{group}")])
        and all(free.get(name, 0.0) == has[name] for name in held)
    ]
