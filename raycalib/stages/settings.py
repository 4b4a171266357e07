"""How a run uses Ray."""

from dataclasses import dataclass
import math
from typing import Literal, get_args

from raycalib.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]
MOST_BY_ITSELF = 64
"""Workers that a pool on a joined cluster grows to where nothing is said; a cluster that costs money ends somewhere."""


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """The cluster, and the workers of each stage.

    Attributes:
        address: of a running cluster; None joins the one that started this job (RAY_ADDRESS), else starts a local one.
        temp_dir: of a local Ray; None is Ray's own.
        min_workers: actors that a pool starts with.
        max_workers: actors that a pool may grow to while nodes join; 0 is as many as the cluster holds, and on a joined
            cluster up to 64 as it grows, one per shard at most. Pools that are at work at once share them.
        wait_for_nodes_s: so long a stage waits for a cluster that has yet to grow to what one worker needs.
        silent_for_s: of a trial from which nothing has come for so long it is said, and again each time as long again;
            signs of life come every 2 s while it computes, but none while a model is loaded.
        gpus_per_worker: GPUs of one actor: a fraction, one, or with vLLM the several of a tensor-parallel group.
            Workers that use transformers take at most one, trainers a whole one. 0 uses CPUs.
        device: where models compute: ``auto`` is on the GPUs that a worker asks for, and on its CPUs where it asks for
            none; ``cuda`` is refused where it asks for none; ``cpu`` is on its CPUs even so, which rehearses a GPU
            cluster's run on a cluster whose GPUs are only numbers.
        cpus_per_worker: CPUs of one actor or trainer.
        train_workers: workers that tune one combo together; 0 is one for each of the combos, which are tuned side by
            side, and all GPUs together where there are fewer combos than GPUs, or a ZeRO stage is set.
    """

    address: str | None = None
    temp_dir: str | None = None
    min_workers: int = 1
    max_workers: int = 0
    wait_for_nodes_s: float = 900.0
    silent_for_s: float = 600.0
    gpus_per_worker: float = 0.0
    device: DeviceName = "auto"
    cpus_per_worker: float = 1.0
    train_workers: int = 0

    @property
    def on_gpu(self) -> bool:
        """Whether models compute on GPUs."""
        return self.gpus_per_worker > 0 and self.device != "cpu"

    @property
    def gpus_per_transformer(self) -> float:
        """GPUs of one actor that uses transformers, which cannot spread over several."""
        return min(1.0, self.gpus_per_worker)

    @property
    def gpus_per_trainer(self) -> int:
        """Whole GPUs of one trainer: a process group cannot have two workers on one GPU."""
        return math.ceil(self.gpus_per_transformer)

    @property
    def most_on_a_cluster(self) -> int:
        """Workers at once on a cluster that others have started, however far it grows."""
        return self.max_workers or MOST_BY_ITSELF

    def __post_init__(self) -> None:
        problems = [
            f"ray.{name}: {getattr(self, name)} is not allowed; at least {least}"
            for name, least in (("min_workers", 1), ("max_workers", 0), ("gpus_per_worker", 0), ("train_workers", 0))
            if getattr(self, name) < least
        ]
        if 0 < self.max_workers < self.min_workers:
            problems.append(
                f"ray.max_workers: {self.max_workers} is not allowed; at least ray.min_workers ({self.min_workers}), "
                "or 0 for as many as the cluster can hold"
            )
        if self.device not in get_args(DeviceName):
            problems.append(f"ray.device: {self.device!r} is unknown; allowed: {', '.join(get_args(DeviceName))}")
        if self.device == "cuda" and not self.gpus_per_worker:
            problems.append("ray.device: cuda needs workers with GPUs; add --ray.gpus-per-worker 1, or use auto")
        if self.cpus_per_worker <= 0:
            problems.append(f"ray.cpus_per_worker: {self.cpus_per_worker} is not allowed; above 0")
        for name in ("wait_for_nodes_s", "silent_for_s"):
            if not 0 < getattr(self, name) < math.inf:
                problems.append(f"ray.{name}: {getattr(self, name)} is not allowed; above 0")
        if problems:
            raise ConfigError("; ".join(problems))
