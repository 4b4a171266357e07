"""How many trials may be at work at once, by what is known before a cluster is asked."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where trials are to run.

    Attributes:
        cpus, gpus: of this machine.
        is_joined: they run on a cluster that others have started.
        most: workers at once on such a cluster.
        is_said: ``most`` was given (``--workers``).
    """

    cpus: int
    gpus: int
    is_joined: bool
    most: int
    is_said: bool


class Cap(NamedTuple):
    """Trials at once, None where only the cluster will tell, and where that comes from."""

    n: int | None
    why: str


def trials_at_once(room: Room, n_begun: int, workers: int, cpus: float, gpus: int, in_rounds: bool = False) -> Cap:
    """The cap on trials at once.

    Args:
        room: where they run.
        n_begun: trials that are begun together; those of other lengths that share a trunk count as one.
        workers: of each.
        cpus, gpus: of each worker.
        in_rounds: there are more, which are begun once these are over.

    Returns:
        0 where this machine cannot hold one.
    """
    few = f"Optuna asks for {n_begun} at a time" if in_rounds else f"{n_begun} in all that do not wait for one another"
    needs = f"{workers * cpus:g} CPU" + (f", {workers * gpus} GPU" if gpus else "")
    if room.is_joined:
        most = room.most // workers
        where = "--workers" if room.is_said else "where --workers does not say"
        most, where = (n_begun, few) if n_begun < most else (most, where)
        held = f"as many as the cluster has room for ({needs} each), more as nodes join, up to {most} ({where})"
        return Cap(None, held)
    by_cpus, by_gpus = int(room.cpus / cpus) // workers, room.gpus // gpus // workers if gpus else n_begun
    scarce = f"{room.gpus} GPUs" if gpus and by_gpus <= by_cpus else f"{room.cpus} CPUs"
    fits, why = min(by_cpus, by_gpus), f"{needs} each, and this machine has {scarce}"
    if room.is_said and room.most // workers < fits:
        fits, why = room.most // workers, f"--workers {room.most}"
    if not fits:
        return Cap(0, f"{needs} are needed, and this machine has {scarce}; start it on a cluster")
    return Cap(min(fits, n_begun), few if n_begun < fits else why)
