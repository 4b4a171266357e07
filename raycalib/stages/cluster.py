"""Starts or joins Ray, once and only when a stage has work to do."""

from collections.abc import Iterator
from contextlib import contextmanager
import logging
import os
from threading import Lock
from typing import NamedTuple

import ray
from ray.data import DataContext

from raycalib.errors import ConfigError
from raycalib.run_logs import RUN_LOGS
from raycalib.stages.chains.first_thread import in_first_thread
from raycalib.stages.chains.stopping import check_stopped
from raycalib.stages.left_over import groups_now
from raycalib.stages.lines.progress import say, show
from raycalib.stages.lines.worker_lines import WORKER_LINES
from raycalib.stages.orphans import remove_of_dead_drivers
from raycalib.stages.pools.room import (
    grows_by_itself,
    lack_of_trainers,
    lack_of_workers,
    nodes_now,
    wait_for_room,
    workers_that_fit,
)
from raycalib.stages.pools.shares import Shares
from raycalib.stages.seen_by_nodes import check_seen
from raycalib.stages.settings import MOST_BY_ITSELF, RaySettings
from raycalib.storage import Location

POOL_GROWS_ABOVE = 0.75


class PoolSize(NamedTuple):
    """Actors of a pool: how many at least, how many at once (its share of what the cluster holds), how many at most."""

    smallest: int
    initial: int
    largest: int


class Cluster:
    """A lazy connection: nothing is started until ``connect`` is called. Threads may call it.

    Attributes:
        at_once: pools that compute at once, as far as the cluster holds a worker for each; 0 is one for each chain.
        chains: of steps, which run side by side; 0 where nothing is said.
        groups_before: placement groups that were there when this run came.
    """

    def __init__(self, settings: RaySettings, out: Location | None = None, at_once: int = 0) -> None:
        """``out`` is the run's directory, in whose ``logs/`` the lines of Ray and of the workers are kept."""
        self.settings, self.out = settings, out
        self.at_once, self.chains = at_once, 0
        self._connected_here = self._started_here = False
        self.groups_before = frozenset[str]()
        self._asked = set[str]()
        self._lock, self._waiting = Lock(), Lock()
        self._shares = Shares(self.shares)

    def connect(self) -> None:
        """Joins or starts Ray, and sees that nodes that are new have the run's directory.

        Raises:
            ConfigError: there is no cluster at the address, or one of its nodes does not see the directory.
        """
        check_stopped()
        in_first_thread(self._connect)

    def _connect(self) -> None:
        with self._lock:
            self._set_up()
            if not ray.is_initialized():
                self._start()
                if self.out is not None and not self._started_here:
                    remove_of_dead_drivers(self.out)
                self.groups_before = groups_now()
            self._check_out()

    def _set_up(self) -> None:
        """A Dataset copies Ray Data's settings when it is made: all of them are set here, before any is."""
        context = DataContext.get_current()
        context.enable_progress_bars = False
        # One task at a time makes a busy actor's utilisation 1, which Ray Data's own threshold of 1.75 never meets.
        context.autoscaling_config.actor_pool_util_upscaling_threshold = POOL_GROWS_ABOVE
        context.max_errored_blocks = -1  # a shard that keeps killing its worker must not end the others
        if self.out is not None:
            RUN_LOGS.keep_in(self.out)
        WORKER_LINES.follow(others_are_shown=ray.is_initialized() and not self._connected_here)

    def _check_out(self) -> None:
        """Has each node of a cluster of several looked for the run's directory once, those that have joined since too.

        Raises:
            ConfigError: one does not see it.
        """
        if self.out is None:
            return
        there = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
        new = {node: address for node, address in there.items() if node not in self._asked}
        if new and len(there) > 1:
            check_seen(self.out, new)
        self._asked |= new.keys()

    def _start(self) -> None:
        address = self.settings.address or os.environ.get("RAY_ADDRESS") or "local"
        extra = {"_temp_dir": self.settings.temp_dir} if self.settings.temp_dir and address == "local" else {}
        say("starting a local Ray …" if address == "local" else f"joining the Ray cluster at {address} …")
        try:
            ray.init(
                address=address, log_to_driver=True, logging_level=logging.WARNING, configure_logging=True, **extra
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            if address == "local":
                raise
            raise ConfigError(
                f"ray.address: {address} does not answer as a cluster: HOST:PORT of its head (6379 by default, not the "
                "address of its dashboard or of job submission); where the cluster asks for a token, set "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
            ) from error
        WORKER_LINES.follow(others_are_shown=False)
        self._connected_here, self._started_here = True, address == "local"
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        resources = ray.cluster_resources()
        has = f"{resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs on {len(ray.nodes())} node(s)"
        say(f"  {has}; what Ray and the workers print is in {RUN_LOGS.where}")
        if resources.get("GPU") and not self.settings.gpus_per_worker:
            say("  no GPU is used: --ray.gpus-per-worker 1 gives each worker one")
        if self.settings.gpus_per_worker and not self.settings.on_gpu:
            each = f"{self.settings.gpus_per_worker:g} GPU(s) of each worker"
            say(f"  models compute on the CPU (--device cpu): the {each} are taken and not used")

    def shares(self) -> int:
        """How many pools may compute at once: as many as are wanted, as far as the cluster holds a worker for each."""
        wanted = min((n for n in (self.at_once, self.chains) if n), default=1)
        if wanted == 1:
            return 1
        settings = self.settings
        cpus_each, gpus_each = settings.cpus_per_worker, settings.gpus_per_worker
        hold = sum(workers_that_fit(node, cpus_each, gpus_each) for node in nodes_now())
        if not self._started_here and grows_by_itself():
            hold = max(hold, settings.max_workers or MOST_BY_ITSELF)
        return max(1, min(wanted, hold, settings.max_workers or hold))

    @contextmanager
    def share(self, title: str) -> Iterator[None]:
        """Holds one of the shares while a pool computes; where all are taken it waits for its turn."""
        self.connect()
        with self._shares.taken(lambda: show(f"  {title}: waits until another model's step is done", title)):
            yield

    def pool_size(
        self, n_shards: int, gpus_per_worker: float | None = None, waits_for_server: bool = False
    ) -> PoolSize:
        """The actors of a pool for so many shards; waits, with a bound, where the cluster has yet to grow.

        Each of the pools that may compute at once has its part of the workers, one at least. Where ``max_workers`` does
        not say, a pool on a joined cluster may grow as nodes come, to one actor per shard; workers that wait for a
        server are not worth a node.

        Args:
            n_shards: to be done.
            gpus_per_worker: the settings' unless given.
            waits_for_server: what the workers do.

        Raises:
            ConfigError: no node holds a worker, and none that would is known to come, or came in time.
        """
        gpus_each = self.settings.gpus_per_worker if gpus_per_worker is None else gpus_per_worker
        self.connect()
        cpus_each = self.settings.cpus_per_worker
        if lack := lack_of_workers(cpus_each, gpus_each):
            with self._waiting:  # chains that wait for the same are told of it once
                if lack := lack_of_workers(cpus_each, gpus_each):
                    self._wait([{"CPU": cpus_each, "GPU": gpus_each}], f"ray: {lack}", "lower --ray.gpus-per-worker")
        fits = sum(workers_that_fit(node, cpus_each, gpus_each) for node in nodes_now())
        by_itself = fits if waits_for_server or self._started_here else max(fits, MOST_BY_ITSELF)
        of_share = [max(1, n // self.shares()) for n in (fits, self.settings.max_workers or by_itself)]
        most = min(of_share[1], n_shards)
        least = min(self.settings.min_workers, most)
        return PoolSize(least, max(least, min(of_share[0], most)), most)

    def trainers(self, at_most: int, n_jobs: int = 1) -> int:
        """How many workers a trainer has, once the cluster holds them.

        Args:
            at_most: where the cluster decides.
            n_jobs: that are to be tuned; with as many as there are GPUs each has one worker.

        Raises:
            ConfigError: it does not, and is not known to grow, or did not in time.
        """
        self.connect()
        settings = self.settings
        cpus, gpus = settings.cpus_per_worker, settings.gpus_per_trainer
        fits = self.trainers_that_fit() if settings.gpus_per_trainer else 1
        n_workers = settings.train_workers or (1 if n_jobs >= fits else min(at_most, fits))
        if lack := lack_of_trainers(n_workers, cpus, gpus):
            bundles = [{"CPU": cpus, "GPU": float(gpus)}] * n_workers
            self._wait(bundles, f"ray.train_workers: {lack}", "lower --ray.train-workers")
        return n_workers

    def trainers_that_fit(self) -> int:
        """Workers of trainers that the cluster holds now."""
        settings = self.settings
        return sum(workers_that_fit(node, settings.cpus_per_worker, settings.gpus_per_trainer) for node in nodes_now())

    def trials_at_once(self) -> int:
        """How many trials of one worker may be at work at once; to a Ray that others have started nodes may come."""
        fits, most = self.trainers_that_fit(), self.settings.max_workers
        if self._started_here:
            return max(1, min(most or fits, fits))
        return max(1, most or max(fits, MOST_BY_ITSELF))

    def _wait(self, bundles: list[dict[str, float]], lack: str, remedy: str) -> None:
        """Waits until the cluster has grown; raises ConfigError where it is not known to, or does not in time."""
        if self._started_here:
            raise ConfigError(f"{lack}: {remedy}")
        if not self.settings.max_workers and not grows_by_itself():
            raise ConfigError(
                f"{lack}: {remedy} or, where the cluster grows by itself, say how far with --workers or "
                "--ray.max-workers"
            )
        limit_s = self.settings.wait_for_nodes_s
        if not wait_for_room(bundles, limit_s, lack.partition(": ")[2]):
            raise ConfigError(
                f"{lack}; waited {limit_s:g} s (--ray.wait-for-nodes-s): {remedy}, or run the same command again once "
                "the cluster has grown"
            )

    def close(self) -> None:
        """Ends the Ray that this run started, or its connection to another, which goes on."""
        with self._lock:
            if self._connected_here and ray.is_initialized():
                ray.shutdown()
            self._connected_here = False
            WORKER_LINES.leave()
            RUN_LOGS.close()
