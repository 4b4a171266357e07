"""What a run has left on its cluster at the end: actors with their processes, and placement groups, which hold room."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
import time

import ray
from ray._private.state import actors
from ray.util import placement_group_table

WITHIN_S = 30.0
"""So long Ray may take to end what is no longer wanted."""

GONE = {"REMOVED", "DEAD"}


@dataclass(frozen=True)
class LeftOver:
    """What is left, with what it is.

    Attributes:
        actors: how many of this job by their class, those aside that outlive it, as Ray Data's own do.
        groups: placement groups that were not there before.
    """

    actors: Mapping[str, int] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    @property
    def line(self) -> str:
        """For people."""
        if not self.actors and not self.groups:
            return "nothing is left on the cluster: 0 actors, 0 placement groups"
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.actors.items()))
        return (
            f"left on the cluster: {sum(self.actors.values())} actors{f' ({kinds})' if kinds else ''}, "
            f"{len(self.groups)} placement groups; they end with this job"
        )


def groups_now() -> frozenset[str]:
    """Placement groups of the cluster, whoever made them; empty where no Ray is running here."""
    if not ray.is_initialized():
        return frozenset()
    table = placement_group_table()
    return frozenset(group for group, about in table.items() if about["state"] not in GONE)


def left_over(before: Collection[str], within_s: float = WITHIN_S) -> LeftOver:
    """What is left once Ray has had time to end it.

    Args:
        before: placement groups that are somebody else's.
        within_s: so long is waited for what is left to go.
    """
    if not ray.is_initialized():
        return LeftOver()
    deadline = time.monotonic() + within_s
    while True:
        found = LeftOver(_actors(), groups_now() - frozenset(before))
        if not (found.actors or found.groups) or time.monotonic() >= deadline:
            return found
        time.sleep(0.5)


def _actors() -> dict[str, int]:
    job = ray.get_runtime_context().get_job_id()
    mine = [about for about in actors().values() if about["JobID"] == job and about["State"] not in GONE]
    return dict(Counter(about["ActorClassName"] for about in mine if not about["IsDetached"]))
