"""Starts or joins Ray, once and only when a stage has work to do."""

from collections.abc import Mapping
import io
import logging
import math
import os
import sys
from typing import NamedTuple

import ray
from ray.data import DataContext

from raycalib.errors import ConfigError
from raycalib.stages.progress import say
from raycalib.stages.settings import RaySettings

ROUNDING = 1e-9


class PoolSize(NamedTuple):
    """Actors of a pool: how many at least, how many at once (what the cluster holds now), how many at most."""

    smallest: int
    initial: int
    largest: int


def workers_that_fit(resources: Mapping[str, float], cpus_each: float, gpus_each: float) -> int:
    """Workers that a node with these resources holds; no worker spreads over nodes, and no fraction over GPUs.

    >>> workers_that_fit({"CPU": 16, "GPU": 8}, 1, 0.4), workers_that_fit({"CPU": 16, "GPU": 1}, 1, 0.1)
    (16, 10)
    >>> workers_that_fit({"CPU": 16, "GPU": 4}, 1, 8), workers_that_fit({"CPU": 16, "GPU": 4}, 1, 2)
    (0, 2)
    """
    by_cpu = math.floor(resources.get("CPU", 0) / cpus_each + ROUNDING)
    if not gpus_each:
        return by_cpu
    gpus = resources.get("GPU", 0)
    per_gpu = math.floor(1 / gpus_each + ROUNDING)
    return min(by_cpu, math.floor(gpus) * per_gpu if gpus_each < 1 else math.floor(gpus / gpus_each + ROUNDING))


def _show_lines_at_once() -> None:
    """In a file or a pipe, what workers print would wait until a block of it is full: Ray does not flush."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


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
        _show_lines_at_once()
        say("starting a local Ray …" if address == "local" else f"joining the Ray cluster at {address} …")
        try:
            ray.init(
                address=address, log_to_driver=True, logging_level=logging.WARNING, configure_logging=True, **extra
            )
        except ConnectionError as error:
            raise ConfigError(
                f"ray.address: {address} does not answer: check host and port; where the cluster asks for a token, "
                "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
            ) from error
        self._started_here = address == "local"
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        resources = ray.cluster_resources()
        say(f"  {resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs on {len(ray.nodes())} node(s)")

    def pool_size(self, n_shards: int, gpus_per_worker: float | None = None) -> PoolSize:
        """The actors of a pool for so many shards; GPUs are the settings' unless given."""
        gpus_each = self.settings.gpus_per_worker if gpus_per_worker is None else gpus_per_worker
        self.connect()
        cpus_each = self.settings.cpus_per_worker
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fits = sum(workers_that_fit(resources, cpus_each, gpus_each) for resources in nodes)
        if not fits:
            has = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes)
            needs = f"a worker needs {cpus_each:g} CPUs, {gpus_each:g} GPUs on one node, the cluster's nodes have {has}"
            if not self.settings.max_workers:
                raise ConfigError(
                    f"ray: {needs}: lower --ray.gpus-per-worker or, where the cluster grows by itself, say how far "
                    "with --workers or --ray.max-workers"
                )
            say(f"  {needs}: waiting until the cluster grows; if it does not, lower --ray.gpus-per-worker")
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
