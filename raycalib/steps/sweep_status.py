"""How far a sweep is, read from its directory by a process that has no part in it."""

from collections.abc import Mapping
from typing import Any

from raycalib.errors import ConfigError
from raycalib.printable import printable_line
from raycalib.stages.lines.progress import say
from raycalib.stages.predictions.probe_trial import ProbeJob
from raycalib.stages.tuned.trial_files import FAILURE, TRAINING
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location, read_manifest
from raycalib.sweeps.cells import Cell
from raycalib.tuning.checkpoint import STATE_NAME, complete_checkpoints

TRIALS = "trials.json"
WAITING, AT_WORK, FINISHED, FAILED = "waiting", "tuned so far", "finished", "failed"


def write_trials(place: Location, jobs: Mapping[Cell, TuneJob | ProbeJob]) -> None:
    """Writes which trials a sweep has and where each lies, for those who ask how far it is."""
    trials = [
        {"combo": cell.combo, "title": cell.title, "key": job.key, "place": job.place.uri, "steps": cell.settings.steps}
        for cell, job in jobs.items()
    ]
    place.write_json(TRIALS, {"trials": trials})


def say_status(out: str) -> None:
    """Says of each trial whether it waits, how far it is, how good it is, or why it failed.

    Raises:
        ConfigError: no sweep has begun to tune there.
    """
    place = Location(out).absolute() / "sweep"
    if not place.exists(TRIALS):
        raise ConfigError(f"out: no sweep has begun to tune in {place.uri}; name a sweep's directory by --out DIR")
    known = [trial | trial_state(trial) for trial in place.read_json(TRIALS)["trials"]]
    for trial in known:
        say(f"  {printable_line(trial['combo'])} {printable_line(trial['title'])}: {trial['state']}{trial['said']}")
    counts = {state: sum(trial["state"] == state for trial in known) for state in (FINISHED, AT_WORK, WAITING, FAILED)}
    say(f"{len(known)} trials: " + ", ".join(f"{n} {state}" for state, n in counts.items() if n))
    done = [trial for trial in known if trial["nll"] is not None]
    if done:
        best = min(done, key=lambda trial: float(trial["nll"]))
        say(f"least val NLL so far: {best['nll']:.4f}, {printable_line(best['combo'])} {printable_line(best['title'])}")


def trial_state(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's state, what to say of it, and its least NLL so far."""
    place = Location(trial["place"])
    manifest = read_manifest(place)
    if manifest is not None and manifest.key == trial["key"]:
        nll = place.read_json(TRAINING)["best_nll"]
        return {"state": FINISHED, "said": f", val NLL {nll:.4f}", "nll": nll}
    if place.exists(FAILURE):
        return {"state": FAILED, "said": f": {printable_line(place.read_json(FAILURE)['error'])}", "nll": None}
    if there := complete_checkpoints(place / "checkpoints"):
        step, name = there[-1]
        nll = (place / "checkpoints" / name).read_json(STATE_NAME)["best_nll"]
        said = "" if nll is None else f", val NLL {nll:.4f}"
        return {"state": AT_WORK, "said": f" to step {step}/{trial['steps']}{said}", "nll": nll}
    return {"state": WAITING, "said": "", "nll": None}
