"""What one process does with shards: the worker, and reading and writing around it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import json
import os
import socket
import sys
from threading import Lock
import time
from typing import Any, Protocol, cast, runtime_checkable

import pyarrow as pa

from raycalib.errors import DataError, ModelError
from raycalib.records import Row
from raycalib.secrets import hide_message
from raycalib.stages.boards.ray_metrics import count_shard
from raycalib.stages.lines.worker_streams import clean_streams, print_failure
from raycalib.stages.pools.bounds import Tally, count_rows
from raycalib.stages.pools.parked import RETRYABLE, is_made_from, settled_rows, with_figures, write_parked
from raycalib.stages.pools.passing import may_pass
from raycalib.storage import Location, read_shard, write_shard

LOST_DEVICE = {"AcceleratorError", "EngineDeadError"}
"""Names of errors after which a process can do nothing more: torch's for a device, vLLM's for its engine."""

BUILD_ATTEMPTS = 3
BUILD_WAIT_S = 10.0
"""Between attempts to load: what held the device's memory may still be ending."""


BUILDING = Lock()
"""Of this process: its threads share one worker. Not of the object, which is pickled."""


class NotBuiltError(Exception):
    """This process has no worker, and another, or this one later, may have one."""


class ShardWorker(Protocol):
    """Built once per actor from a plain configuration; ``process`` maps the rows of one shard.

    Threads call it where its stage does several shards at once.
    """

    def __init__(self, config: Any) -> None: ...

    def process(self, rows: list[Row]) -> list[Row]:
        """Output rows; a row that failed has its ``error`` set, none is left out.

        Where the schema has ``retryable``, a row with it is to be done again by a later run.
        """


class TaskWorker(Protocol):
    """A worker whose one loading serves several stages, such as a base model with several adapters."""

    def __init__(self, config: Any) -> None: ...

    def process_task(self, task: str, rows: list[Row]) -> list[Row]:
        """As ``process``, for the stage with this task."""


@dataclass(frozen=True)
class ShardTarget:
    """Where the shards of one stage come from and go to.

    Attributes:
        source, target: directories.
        schema: of the output rows.
        keeps_figures: what the worker counts is kept with each shard.
        task: of the stage; empty where its worker does one thing.
        stage, model: as metrics name them.
    """

    source: Location
    target: Location
    schema: pa.Schema
    keeps_figures: bool = False
    task: str = ""
    stage: str = ""
    model: str = ""


@runtime_checkable
class CountingWorker(Protocol):
    """A worker that counts what it does, such as tokens; shown while the stage runs and kept in its manifest."""

    def take_figures(self) -> dict[str, float]:
        """Numbers by name, since the last time."""


class ShardMap:
    """Reads a shard, lets the worker process it, writes the result; never raises, and ends where its device is lost.

    It does the shards of one stage, or of several whose workers are the same. The worker is built at the first shard,
    so that a model that cannot be loaded is a shard's failure with a cause.
    """

    def __init__(
        self, worker: type[ShardWorker] | type[TaskWorker], config: Any, targets: Sequence[ShardTarget]
    ) -> None:
        self.make, self.config, self.targets = worker, config, targets
        self.worker: ShardWorker | TaskWorker | None = None
        self.broken = ""
        self.unusable = ""
        """Why no worker of the stage can be built; empty where one was, or may be by another process."""
        self.process = f"{socket.gethostname()} {os.getpid()}"

    def _ready(self) -> ShardWorker | TaskWorker:
        """The worker; where its fault may pass it is tried again at the next shard, after a while each time.

        A process that failed at once would fail all shards while the others still load.
        """
        with BUILDING:
            return self._built()

    def _built(self) -> ShardWorker | TaskWorker:
        if self.broken:
            raise RuntimeError(self.broken)
        for attempt in range(1, BUILD_ATTEMPTS + 1):
            if self.worker is not None:
                break
            try:
                self.worker = self.make(self.config)
            except Exception as error:
                if not may_pass(error):
                    self.broken = f"{type(error).__name__}: {error}"
                    self.unusable = str(error) if isinstance(error, ModelError) else ""
                    raise
                if attempt == BUILD_ATTEMPTS:
                    raise NotBuiltError(f"{type(error).__name__}: {error}") from error
                print_failure()
                time.sleep(BUILD_WAIT_S * attempt)
        assert self.worker is not None, "the last attempt built it or raised"
        return self.worker

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """What became of the shard named by ``work``, ``shard`` and ``name``: rows, errors, figures, seconds, cause.

        The work is the place of its stage among the targets.
        """
        clean_streams()
        work, shard, name = int(batch["work"][0]), int(batch["shard"][0]), str(batch["name"][0])
        target = self.targets[work]
        rows = errors = parked = 0
        cause = ""
        figures: dict[str, float] = {}
        built, tally, given = True, Tally(), list[Row]()
        began = ready = time.monotonic()
        try:
            worker = self._ready()
            ready = time.monotonic()
            given = read_shard(target.source, name)
            results, figures = self._process(worker, target, shard, given)
            count_rows(tally, results)
            waiting = [row for row in results if row.get(RETRYABLE)]
            rows, errors, parked = len(results), sum(1 for row in results if row.get("error")), len(waiting)
            cause = str(waiting[0]["unscored_reason"]) if waiting else ""
        except Exception as error:
            if not self.unusable:  # else the driver says it, in a line
                print_failure()
            if type(error).__name__ in LOST_DEVICE:
                end_process()
            built = not isinstance(error, NotBuiltError)
            cause = hide_message(f"{type(error).__name__}: {error}" if built else str(error))
            tally.add(len(given), len(given), 0, cause, "")
            tally.lost += len(given)
        return {
            "work": [work],
            "shard": [shard],
            "rows": [rows],
            "errors": [errors],
            "parked": [parked],
            "cause": [cause],
            "unusable": [self.unusable],
            "built": [built],
            "process": [self.process],
            "figures": [json.dumps(figures)],
            "load_s": [ready - began],
            "work_s": [time.monotonic() - ready],
            "tally": [json.dumps(asdict(tally))],
        }

    def _process(
        self, worker: ShardWorker | TaskWorker, target: ShardTarget, shard: int, given: list[Row]
    ) -> tuple[list[Row], dict[str, float]]:
        """Does what earlier runs left of a shard, and writes it; its rows and what the worker counted."""
        can_park = RETRYABLE in target.schema.names
        settled = settled_rows(target.target, shard, given) if can_park else [None] * len(given)
        todo = [row for row, old in zip(given, settled, strict=True) if old is None]
        if target.task:
            done = cast(TaskWorker, worker).process_task(target.task, todo)
        else:
            done = cast(ShardWorker, worker).process(todo)
        if len(done) != len(todo) or not all(map(is_made_from, done, todo)):
            raise DataError(f"{self.make.__name__} did not return each row once and in order")
        fresh = iter(done)
        results = [next(fresh) if old is None else old for old in settled]
        figures = worker.take_figures() if isinstance(worker, CountingWorker) else {}
        schema = with_figures(target.schema, figures) if target.keeps_figures else target.schema
        if not any(row.get(RETRYABLE) for row in results):
            write_shard(target.target, shard, results, schema)
        elif figures.get("requests") or any(not row[RETRYABLE] for row in done):
            write_parked(target.target, shard, results, schema)
        n_failed = sum(1 for row in done if row.get("error"))
        n_parked = sum(1 for row in done if row.get(RETRYABLE))
        count_shard(target.stage, target.model, len(done) - n_failed - n_parked, n_failed, figures)
        return results, figures


def end_process() -> None:
    """Ends this worker: Ray starts another, and does the shard again a bounded number of times.

    An actor that went on would fail all that is left of the stage, a shard a moment.
    """
    sys.stderr.flush()
    os._exit(1)
