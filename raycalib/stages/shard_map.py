"""What one process does with shards: the worker, and reading and writing around it."""

from dataclasses import asdict
import json
import os
import socket
import sys
from threading import Lock
import time
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from raycalib.errors import DataError, ModelError
from raycalib.records import Row
from raycalib.secrets import hide_message
from raycalib.stages.bounds import Tally, count_rows
from raycalib.stages.parked import RETRYABLE, is_made_from, settled_rows, with_figures, write_parked
from raycalib.stages.passing import may_pass
from raycalib.stages.worker_streams import clean_streams, print_failure
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


@runtime_checkable
class CountingWorker(Protocol):
    """A worker that counts what it does, such as tokens; shown while the stage runs and kept in its manifest."""

    def take_figures(self) -> dict[str, float]:
        """Numbers by name, since the last time."""


class ShardMap:
    """Reads a shard, lets the worker process it, writes the result; never raises, and ends where its device is lost.

    The worker is built at the first shard, so that a model that cannot be loaded is a shard's failure with a cause.
    """

    def __init__(
        self,
        worker: type[ShardWorker],
        config: Any,
        source: Location,
        target: Location,
        schema: pa.Schema,
        keeps_figures: bool,
    ) -> None:
        self.make, self.config, self.keeps_figures = worker, config, keeps_figures
        self.source, self.target, self.schema = source, target, schema
        self.worker: ShardWorker | None = None
        self.broken = ""
        self.unusable = ""
        """Why no worker of the stage can be built; empty where one was, or may be by another process."""
        self.process = f"{socket.gethostname()} {os.getpid()}"

    def _ready(self) -> ShardWorker:
        """The worker; where its fault may pass it is tried again at the next shard, after a while each time.

        A process that failed at once would fail all shards while the others still load.
        """
        with BUILDING:
            return self._built()

    def _built(self) -> ShardWorker:
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
        """What became of the shard named by ``shard`` and ``name``: its rows, errors and figures, or a cause."""
        clean_streams()
        shard, name = int(batch["shard"][0]), str(batch["name"][0])
        rows = errors = parked = 0
        cause = ""
        figures: dict[str, float] = {}
        built, tally, given = True, Tally(), list[Row]()
        try:
            worker = self._ready()
            given = read_shard(self.source, name)
            results, figures = self._process(worker, shard, given)
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
            "shard": [shard],
            "rows": [rows],
            "errors": [errors],
            "parked": [parked],
            "cause": [cause],
            "unusable": [self.unusable],
            "built": [built],
            "process": [self.process],
            "figures": [json.dumps(figures)],
            "tally": [json.dumps(asdict(tally))],
        }

    def _process(self, worker: ShardWorker, shard: int, given: list[Row]) -> tuple[list[Row], dict[str, float]]:
        """Does what earlier runs left of a shard, and writes it; its rows and what the worker counted."""
        can_park = RETRYABLE in self.schema.names
        settled = settled_rows(self.target, shard, given) if can_park else [None] * len(given)
        todo = [row for row, old in zip(given, settled, strict=True) if old is None]
        done = worker.process(todo)
        if len(done) != len(todo) or not all(map(is_made_from, done, todo)):
            raise DataError(f"{self.make.__name__} did not return each row once and in order")
        fresh = iter(done)
        results = [next(fresh) if old is None else old for old in settled]
        figures = worker.take_figures() if isinstance(worker, CountingWorker) else {}
        schema = with_figures(self.schema, figures) if self.keeps_figures else self.schema
        if not any(row.get(RETRYABLE) for row in results):
            write_shard(self.target, shard, results, schema)
        elif figures.get("requests") or any(not row[RETRYABLE] for row in done):
            write_parked(self.target, shard, results, schema)
        return results, figures


def end_process() -> None:
    """Ends this worker: Ray starts another, and does the shard again a bounded number of times.

    An actor that went on would fail all that is left of the stage, a shard a moment.
    """
    sys.stderr.flush()
    os._exit(1)
