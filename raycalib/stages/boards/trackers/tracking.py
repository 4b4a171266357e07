"""Trials as runs of trackers, while they are tuned; what goes wrong with a tracker costs no trial."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
import time
from types import TracebackType
from typing import Any, Self

from raycalib.errors import StorageError
from raycalib.secrets import hide_message
from raycalib.stages.boards.trackers.mlflow_runs import MlflowRuns
from raycalib.stages.boards.trackers.tracked import EndState, TrackedTrial, Tracker, best_figures, figures_of
from raycalib.stages.boards.trackers.wandb_runs import WandbRuns
from raycalib.stages.lines.progress import say
from raycalib.stages.tuned.trial_files import TRAINING
from raycalib.storage import Location

CLOSE_WITHIN_S = 120.0
"""For what a tracker still has to send when all trials are done."""


class TrackedRuns:
    """The runs of one tracker: each trial is begun once, has each step once, and ends once."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._steps: dict[str, set[int]] = {}
        self._ended = set[str]()

    def evaluated(self, trial: TrackedTrial, record: Mapping[str, Any]) -> None:
        """Adds an evaluation: its step and figures."""
        if trial.key in self._ended:
            return
        step, steps = int(record["step"]), self._begun(trial)
        if step not in steps and (figures := figures_of(record)):
            self.tracker.add(trial.key, step, figures)
            steps.add(step)

    def ended(self, trial: TrackedTrial, state: EndState) -> None:
        """Ends a trial, with the evaluations that it has not told of and its best figures, as it has left them."""
        if trial.key in self._ended or (state == "stopped" and trial.key not in self._steps):
            return
        best: dict[str, float] = {}
        with suppress(StorageError):  # a file that is not there or cannot be read: the state is known all the same
            if state == "finished":
                record = trial.place.read_json(TRAINING)
                for each in record["history"]:
                    self.evaluated(trial, each)
                best = best_figures(record["history"], int(record["best_step"]))
        self._begun(trial)
        self.tracker.end(trial.key, state, best)
        self._ended.add(trial.key)

    def close(self) -> None:
        """Ends what is left as stopped."""
        for key in self._steps.keys() - self._ended:
            self.tracker.end(key, "stopped", {})
        self.tracker.close()

    def _begun(self, trial: TrackedTrial) -> set[int]:
        """The steps that are in the trial's run, which is begun."""
        if trial.key not in self._steps:
            self._steps[trial.key] = set(self.tracker.begin(trial))
        return self._steps[trial.key]


class TrackerThread:
    """Does what one tracker is told in a thread of its own: where a server does not answer, no trial waits for it."""

    def __init__(self, name: str, open_tracker: Callable[[], Tracker]) -> None:
        """Opens the tracker in that thread."""
        self.name = name
        self._told: SimpleQueue[Callable[[TrackedRuns], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, args=(open_tracker,), name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, what: Callable[[TrackedRuns], None]) -> None:
        """Has it done in its turn; nothing is done once the tracker has failed."""
        if self._thread.is_alive():
            self._told.put(what)

    def close(self, until: float) -> None:
        """Ends it, and waits for that until then, of the monotonic clock."""
        self._told.put(None)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            say(f"  {self.name}: not all is sent after {CLOSE_WITHIN_S:g} s, and is not waited for")

    def _work(self, open_tracker: Callable[[], Tracker]) -> None:
        try:
            runs = TrackedRuns(open_tracker())
            while (what := self._told.get()) is not None:
                what(runs)
            runs.close()
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            say(hide_message(f"  {self.name}: trials are tracked no longer: {lines[0]}; the sweep goes on without it"))


class Tracking:
    """What the driver tells of trials to all trackers; without any it does nothing.

    A copy of it, such as Tune makes of what its callbacks hold, has none.
    """

    def __init__(self, trackers: Sequence[TrackerThread] = ()) -> None:
        self._trackers = list(trackers)

    def __reduce__(self) -> tuple[type["Tracking"], tuple[()]]:
        return type(self), ()

    def evaluated(self, trial: TrackedTrial, record: Mapping[str, Any]) -> None:
        """Tells of an evaluation: its step and figures."""
        self._tell(partial(TrackedRuns.evaluated, trial=trial, record=dict(record)))

    def ended(self, trial: TrackedTrial, state: EndState) -> None:
        """Tells of a trial's end; a trial of which this is told again stays as it is."""
        self._tell(partial(TrackedRuns.ended, trial=trial, state=state))

    def _tell(self, what: Callable[[TrackedRuns], None]) -> None:
        for tracker in self._trackers:
            tracker.tell(what)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Ends what is left as stopped, and waits a while for what is not sent yet."""
        until = time.monotonic() + CLOSE_WITHIN_S
        for tracker in self._trackers:
            tracker.close(until)


NO_TRACKING = Tracking()


def open_tracking(names: Sequence[str], out: Location) -> Tracking:
    """Tracking of a sweep's trials in a run's directory, whose name groups them, by the trackers of these names."""
    sweep = out.absolute() / "sweep"
    makers: Mapping[str, Callable[[str, Location], Tracker]] = {"mlflow": MlflowRuns, "wandb": WandbRuns}
    return Tracking([TrackerThread(name, partial(makers[name], out.absolute().name, sweep)) for name in names])
