"""How far a sweep is, read from its directory by a process that has no part in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from raycalib.errors import ConfigError
from raycalib.plans.gpu_prices import GpuPrice
from raycalib.printable import printable_line
from raycalib.stages.lines.progress import say
from raycalib.stages.predictions.probe_trial import ProbeJob
from raycalib.stages.tuned.spent import read_spent
from raycalib.stages.tuned.stops import why_stopped
from raycalib.stages.tuned.trial_files import FAILURE, TRAINING
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location, read_manifest
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.time_left import Progress, time_left, time_lines
from raycalib.tuning.checkpoint import STATE_NAME, complete_checkpoints

TRIALS = "trials.json"
ID_LENGTH = 8
"""Characters of a key that name a trial to a user."""

WAITING, AT_WORK, FINISHED, STOPPED, FAILED = "waiting", "tuned so far", "finished", "stopped", "failed"
STATES = (FINISHED, AT_WORK, WAITING, STOPPED, FAILED)


def write_trials(
    place: Location, jobs: Mapping[Cell, TuneJob | ProbeJob], price: GpuPrice | None = None, n_more: int = 0
) -> None:
    """Writes which trials a sweep has and where each lies, for those who ask how far it is.

    Args:
        place: of the sweep.
        jobs: by cell.
        price: of the GPUs that trials have; None where they have none.
        n_more: trials that the search has yet to ask for.
    """
    trials = [
        {
            "combo": cell.combo,
            "title": cell.title,
            "key": job.key,
            "place": job.place.uri,
            "steps": 0 if cell.is_probe else cell.settings.steps,
        }
        for cell, job in jobs.items()
    ]
    gpu = None if price is None else {"name": price.name, "dollars_per_hour": price.dollars_per_hour}
    place.write_json(TRIALS, {"trials": trials, "gpu": gpu, "n_more": n_more})


def known_trials(out: str) -> dict[str, Any]:
    """What a sweep in ``out`` has written of its trials.

    Raises:
        ConfigError: no sweep has begun to tune there.
    """
    place = Location(out).absolute() / "sweep"
    if not place.exists(TRIALS):
        raise ConfigError(f"out: no sweep has begun to tune in {place.uri}; name a sweep's directory by --out DIR")
    return dict(place.read_json(TRIALS))


def say_status(out: str) -> None:
    """Says of each trial whether it waits, how far it is, how good it is, or why it failed; and time and money.

    A trial is named by the first characters of its key.

    Raises:
        ConfigError: no sweep has begun to tune there.
    """
    written = known_trials(out)
    known = [trial | trial_state(trial) for trial in written["trials"]]
    for trial in known:
        name = f"{trial['key'][:ID_LENGTH]} {printable_line(trial['combo'])} {printable_line(trial['title'])}"
        say(f"  {name}: {trial['state']}{trial['said']}")
    counts = {state: sum(trial["state"] == state for trial in known) for state in STATES}
    more = f"; the search asks for {n_more} more" if (n_more := written.get("n_more", 0)) else ""
    say(f"{len(known)} trials: " + ", ".join(f"{n} {state}" for state, n in counts.items() if n) + more)
    done = [trial for trial in known if trial["nll"] is not None]
    if done:
        best = min(done, key=lambda trial: float(trial["nll"]))
        say(f"least val NLL so far: {best['nll']:.4f}, {printable_line(best['combo'])} {printable_line(best['title'])}")
    for line in _time_lines(known, written.get("gpu"), n_more):
        say(line)


def _time_lines(known: Sequence[Mapping[str, Any]], gpu: Mapping[str, Any] | None, n_more: int) -> list[str]:
    """What the trials have taken and what is left."""
    trials = []
    for trial in known:
        spent, is_over = read_spent(Location(trial["place"])), trial["state"] not in (WAITING, AT_WORK)
        progress = Progress(
            combo=trial["combo"],
            steps=trial["steps"],
            done=trial.get("done", 0),
            is_over=is_over,
            is_finished=trial["state"] == FINISHED,
            seconds=None if spent is None else spent.seconds,
            devices=1 if spent is None else spent.gpus if gpu else spent.processors,
        )
        trials.append(progress)
    name, dollars = (gpu["name"], gpu["dollars_per_hour"]) if gpu else ("", None)
    return time_lines(time_left(trials, n_more), name, dollars)


def trial_state(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's state, what to say of it, and its least NLL so far."""
    place = Location(trial["place"])
    manifest = read_manifest(place)
    if manifest is not None and manifest.key == trial["key"]:
        nll = place.read_json(TRAINING)["best_nll"]
        return {"state": FINISHED, "said": f", val NLL {nll:.4f}", "nll": nll}
    if stopped := why_stopped(place):
        return {"state": STOPPED, "said": f": {printable_line(stopped)}", "nll": None}
    if place.exists(FAILURE):
        return {"state": FAILED, "said": f": {printable_line(place.read_json(FAILURE)['error'])}", "nll": None}
    if there := complete_checkpoints(place / "checkpoints"):
        step, name = there[-1]
        nll = (place / "checkpoints" / name).read_json(STATE_NAME)["best_nll"]
        said = "" if nll is None else f", val NLL {nll:.4f}"
        return {"state": AT_WORK, "said": f" to step {step}/{trial['steps']}{said}", "nll": nll, "done": step}
    if read_spent(place) is not None:
        return {"state": AT_WORK, "said": f" to step 0/{trial['steps']}", "nll": None}
    return {"state": WAITING, "said": "", "nll": None}
