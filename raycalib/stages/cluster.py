"""Starts or joins Ray, once and only when a stage has work to do."""

import logging
import os
from typing import NamedTuple

import ray
from ray.data import DataContext

from raycalib.errors import ConfigError
from raycalib.stages.progress import say
from raycalib.stages.settings import RaySettings


class PoolSize(NamedTuple):
    """Actors of a pool: how many at least, how many at once (what the cluster holds now), how many at most."""

    smallest: int
    initial: int
    largest: int


class Cluster:
    """A lazy connection: nothing is started until ``connect`` is called."""

    def __init__(self, settings: RaySettings) -> None:
        self.settings = settings
        self._started_here = False

    def connect(self) -> None:
        """Joins or starts Ray; does nothing the second time."""
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # a shard that keeps killing its worker must not end the others
        if ray.is_initialized():
            return
        address = self.settings.address or os.environ.get("RAY_ADDRESS") or "local"
        extra = {"_temp_dir": self.settings.temp_dir} if self.settings.temp_dir and address == "local" else {}
        say("starting a local Ray …" if address == "local" else f"joining the Ray cluster at {address} …")
        ray.init(
            address=address,
            log_to_driver=True,
            logging_level=logging.WARNING,
            configure_logging=True,
            **extra,
        )
        self._started_here = address == "local"
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        resources = ray.cluster_resources()
        say(f"  {resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs on {len(ray.nodes())} node(s)")

    def pool_size(self, n_shards: int) -> PoolSize:
        """The actors of a pool for so many shards."""
        self.connect()
        resources = ray.cluster_resources()
        fits = int(resources.get("CPU", 1) // self.settings.cpus_per_worker)
        if self.settings.gpus_per_worker:
            fits = min(fits, int(resources.get("GPU", 0) // self.settings.gpus_per_worker))
        if not fits and not self.settings.max_workers:
            cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
            raise ConfigError(
                f"ray: a worker needs {self.settings.cpus_per_worker:g} CPUs, {self.settings.gpus_per_worker:g} GPUs, "
                f"the cluster has {cpus:g} and {gpus:g}: lower --ray.gpus-per-worker or, where the cluster grows by "
                "itself, say how far with --ray.max-workers"
            )
        most = max(1, min(self.settings.max_workers or fits, n_shards))
        least = min(self.settings.min_workers, most)
        return PoolSize(least, max(least, min(fits, most)), most)

    def check_trainer_fits(self) -> None:
        """Raises ConfigError where a trainer's workers would wait for ever for CPUs or GPUs.

        A cluster that grows by itself is not checked: it says how far by ``max_workers``.
        """
        self.connect()
        resources, settings = ray.cluster_resources(), self.settings
        needed = {
            "CPU": settings.train_workers * settings.cpus_per_worker,
            "GPU": settings.train_workers * settings.gpus_per_trainer,
        }
        short = [
            f"{need:g} {name}s of {resources.get(name, 0):g}"
            for name, need in needed.items()
            if need > resources.get(name, 0)
        ]
        if short and not settings.max_workers:
            raise ConfigError(
                f"ray.train_workers: {settings.train_workers} workers need {' and '.join(short)}; lower "
                "--ray.train-workers or, where the cluster grows by itself, say how far with --ray.max-workers"
            )

    def close(self) -> None:
        """Ends the Ray that this run started; leaves another's alone."""
        if self._started_here and ray.is_initialized():
            ray.shutdown()
