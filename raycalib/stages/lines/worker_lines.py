"""The way of a worker's lines: all to the run's logs, and its own to the driver's console too.

Ray reads what workers print on every node and brings it to the driver. A line of ours is marked there; it is the only
kind that is shown. Ray has no public place to take these lines; the names used here are those of its Ray Client.
"""

from collections.abc import Collection, Mapping
from functools import partial
import json
import sys
import threading
import time
from typing import Any, Literal

import ray
from ray._private import ray_logging
from ray._private import worker as ray_worker

from raycalib.console import CONSOLE, Console
from raycalib.run_logs import RUN_LOGS, RunLogs
from raycalib.stages.lines.beats import BEATS, Beats

Kind = Literal["say", "show", "end", "beat"]
MARK = "raycalib-line:"
RAYS_HANDLER, OUR_HANDLER = "ray_print_logs", "raycalib"
EVENT = ":event_summary:"
"""In what the older autoscaler prints, its whole state every five seconds; the newer one's events are JSON."""

RAYS_PRINT = ray_worker.print_to_stdstream
LOST = {
    "worker died or was killed": "a worker died; what it had is done again a bounded number of times",
    "killed due to memory pressure": "a node is short of memory, and Ray ended workers there",
    "has been marked dead": "a node of the cluster is gone; what its workers had is done again",
}
"""How Ray's reports of a loss begin, and what a user is told of it."""

LOSS_SAID_EVERY_S = 60.0
POLL_S = 0.05


def in_worker() -> bool:
    """Whether this process is a worker of Ray's, whose lines have to travel."""
    return ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE


def lines_come() -> bool:
    """Whether Ray brings this process what its workers print; who started Ray may have told it not to."""
    thread = getattr(ray_worker.global_worker, "logger_thread", None)
    return thread is not None and thread.is_alive()


def tell(kind: Kind, text: str, key: str = "") -> None:
    """Sends a line to the driver's console.

    Not by ``print``, which Ray Train replaces in its workers and then shows twice.
    """
    sys.stdout.write(f"{MARK}{json.dumps({'kind': kind, 'text': text, 'key': key})}\n")
    sys.stdout.flush()


class WorkerLines:
    """Takes what Ray brings of the workers of this driver's job."""

    def __init__(self, console: Console = CONSOLE, logs: RunLogs = RUN_LOGS, beats: Beats = BEATS) -> None:
        self.console, self.logs, self.beats = console, logs, beats
        self._others_are_shown = False
        self._ended: set[str] = set()
        self._lock = threading.Lock()
        self._loss_said: dict[str, float] = {}

    def follow(self, *, others_are_shown: bool) -> None:
        """Stands where Ray would print on the terminal, for this connection and those to come.

        Where Ray was started by others, lines of others go on to where they went.
        """
        self._others_are_shown = others_are_shown
        dispatcher = ray_logging.global_worker_stdstream_dispatcher
        names = [name for name, _ in dispatcher.handlers]
        if (OUR_HANDLER, self.take) in dispatcher.handlers and RAYS_HANDLER not in names:
            return  # a moment without it would lose lines of stages that are at work
        ray_worker.print_to_stdstream = self.take
        for name in (RAYS_HANDLER, OUR_HANDLER):
            dispatcher.remove_handler(name)
        dispatcher.add_handler(OUR_HANDLER, self.take)

    def leave(self) -> None:
        """Gives Ray its place back."""
        ray_worker.print_to_stdstream = RAYS_PRINT
        dispatcher = ray_logging.global_worker_stdstream_dispatcher
        dispatcher.remove_handler(OUR_HANDLER)
        if ray.is_initialized():
            dispatcher.add_handler(RAYS_HANDLER, partial(RAYS_PRINT, ignore_prefix=False))

    def take(self, data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
        """One batch of lines of one process; ``ignore_prefix`` is Ray's."""
        kept, others = list[str](), list[str]()
        for line in data["lines"]:
            is_marked = line.startswith(MARK) and not data["is_err"]
            if is_marked and self._is_beat(line.removeprefix(MARK), data):
                continue
            ours = self._shown(line.removeprefix(MARK)) if is_marked else None
            kept.append(line if ours is None else ours)
            if ours is None:
                others.append(line)
                self._report_loss(line)
        if others and self._others_are_shown:
            RAYS_PRINT({**data, "lines": others}, ignore_prefix=ignore_prefix)
        who = data.get("actor_name") or data.get("task_name") or "process"
        if data.get("pid") == "autoscaler":
            kept = [line for line in kept if line.startswith("{") or EVENT in line]
        if kept:
            self.logs.of_workers(f"{who} {data.get('pid')} {data.get('ip', '')}".rstrip(), kept)

    def wait_for(self, texts: Collection[str], limit_s: float) -> None:
        """Waits until lines that begin so have ended, for the lines of the next stage to come below them."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with self._lock:
                if all(any(ended.startswith(text) for ended in self._ended) for text in texts):
                    return
            time.sleep(POLL_S)

    def _is_beat(self, marked: str, data: Mapping[str, Any]) -> bool:
        """Whether it is a sign of life, once it is taken: neither shown nor kept."""
        try:
            record = json.loads(marked)
            if record["kind"] != "beat":
                return False
            self.beats.take(str(record["key"]), record["text"], str(data.get("pid", "")), str(data.get("ip", "")))
        except (ValueError, KeyError, TypeError):
            return False
        return True

    def _shown(self, marked: str) -> str | None:
        """The text of a line of ours, once it is shown."""
        try:
            record = json.loads(marked)
            kind, text, key = record["kind"], str(record["text"]), str(record.get("key", ""))
            if kind == "say":
                self.console.say(text)
            else:
                {"show": self.console.show, "end": self.console.end}[kind](text, key)
        except (ValueError, KeyError, TypeError, OSError):  # no line of ours, or whoever read ours is gone
            return None
        if kind == "end":
            with self._lock:
                self._ended.add(text)
        return text

    def _report_loss(self, line: str) -> None:
        for sign, remark in LOST.items():
            now = time.monotonic()
            if sign in line and now - self._loss_said.get(sign, -LOSS_SAID_EVERY_S) >= LOSS_SAID_EVERY_S:
                self._loss_said[sign] = now
                self.console.say(f"  {remark}; the cause is in {self.logs.where}")


WORKER_LINES = WorkerLines()
"""Of this process's job."""
