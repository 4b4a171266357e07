"""Stops trials of a sweep from a process that has no part in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from raycalib.errors import ConfigError
from raycalib.printable import printable_line
from raycalib.stages.lines.progress import say
from raycalib.stages.tuned.stops import ask_to_stop
from raycalib.steps.sweep_status import AT_WORK, ID_LENGTH, WAITING, known_trials, trial_state
from raycalib.storage import Location


def stop_trials(out: str, names: Sequence[str]) -> None:
    """Has trials of the sweep in ``out`` stop, each named by the first characters of its key, as ``--status`` does.

    Raises:
        ConfigError: no sweep has begun there, or a name is of no trial, of several, or of one that cannot be stopped;
            then none is.
    """
    trials = known_trials(out)["trials"]
    found = [_named(trials, name) for name in names]
    if not found:
        raise ConfigError("stop-trial: an ID is missing; --status names trials by theirs")
    for trial in found:
        ask_to_stop(Location(trial["place"]))
    for trial in found:
        say(f"  {_title(trial)}: stops within seconds and keeps a checkpoint; --restart-stopped goes on from there")


def _named(trials: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    found = [trial for trial in trials if name and trial["key"].startswith(name)]
    shown = printable_line(name)
    if len(found) != 1:
        listed = ", ".join(trial["key"][:ID_LENGTH] for trial in (found or trials))
        what = "is of several trials" if found else "is of no trial"
        raise ConfigError(f"stop-trial: {shown!r} {what}; allowed: {listed}; --status says which is which")
    trial = found[0]
    if not trial["steps"]:
        raise ConfigError(f"stop-trial: {shown}, {_title(trial)}, is a probe, fitted in seconds; nothing is to stop")
    if (state := trial_state(trial)["state"]) not in (WAITING, AT_WORK):
        raise ConfigError(f"stop-trial: {shown}, {_title(trial)}, is {state}; name one that waits or is at work")
    return trial


def _title(trial: Mapping[str, Any]) -> str:
    return f"{printable_line(trial['combo'])} {printable_line(trial['title'])}"
