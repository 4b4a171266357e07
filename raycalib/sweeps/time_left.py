"""Time and money of a sweep that is under way: what its trials have taken, and what is left by their own pace."""

from collections.abc import Sequence
from dataclasses import dataclass

SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a trial is.

    Attributes:
        combo: as ``llama2:7b/oe``.
        steps: of the whole trial; 0 of a probe, which takes next to nothing.
        done: of them.
        is_over: it is finished, or has failed.
        is_finished: it has been tuned to its end.
        seconds: that it has taken; None where nothing noted it.
        devices: GPUs that it has at once, or processors where it has none.
    """

    combo: str
    steps: int
    done: int = 0
    is_over: bool = False
    is_finished: bool = False
    seconds: float | None = None
    devices: int = 1

    @property
    def is_at_work(self) -> bool:
        """Whether it is begun and not over."""
        return self.seconds is not None and not self.is_over


@dataclass(frozen=True, kw_only=True)
class TimeLeft:
    """Of a sweep.

    Attributes:
        taken: device-hours of all its trials so far.
        left: device-hours of what is not done; None where no trial has shown a pace.
        at_once: trials that are begun and not over.
        minutes: on the clock, with so many at once; None where none is begun, or no pace is known.
    """

    taken: float
    left: float | None
    at_once: int
    minutes: float | None


def time_left(trials: Sequence[Progress], n_more: int = 0) -> TimeLeft:
    """What is left, by the seconds for a step of the finished trials: of the same combo, else model, else all.

    While none is finished, those at work show the pace, their start with it.

    Args:
        trials: of the sweep.
        n_more: trials that a search has yet to ask for; each is reckoned as the mean of those that are known.
    """
    timed = [trial for trial in trials if trial.seconds is not None and trial.steps]
    paced = [trial for trial in timed if trial.is_finished] or [trial for trial in timed if trial.done]
    taken = sum((trial.seconds or 0.0) * trial.devices for trial in trials) / SECONDS
    at_once = sum(trial.is_at_work for trial in trials)
    open_trials = [trial for trial in trials if not trial.is_over and trial.steps]
    if not open_trials and not n_more:
        return TimeLeft(taken=taken, left=0.0, at_once=at_once, minutes=0.0)
    if not paced:
        return TimeLeft(taken=taken, left=None, at_once=at_once, minutes=None)
    each = [_pace(trial.combo, paced) * (trial.steps - trial.done) for trial in open_trials]
    each += [sum(_pace(trial.combo, paced) * trial.steps for trial in trials) / len(trials)] * n_more
    devices = max(trial.devices for trial in paced)
    minutes = max(sum(each) / at_once, max(each)) / 60 if at_once else None
    return TimeLeft(taken=taken, left=sum(each) * devices / SECONDS, at_once=at_once, minutes=minutes)


def _pace(combo: str, paced: Sequence[Progress]) -> float:
    """Seconds for a step of trials as near to the combo as there are any."""
    model = combo.rpartition("/")[0]
    near = [trial for trial in paced if trial.combo == combo]
    near = near or [trial for trial in paced if trial.combo.rpartition("/")[0] == model] or list(paced)
    steps = sum(trial.steps if trial.is_finished else trial.done for trial in near)
    return sum(trial.seconds or 0.0 for trial in near) / steps


def time_lines(found: TimeLeft, gpu: str, dollars_per_hour: float | None) -> list[str]:
    r"""What is said of it: GPU-hours and dollars where the price of a GPU is known, else processor-hours.

    >>> print("\n".join(time_lines(TimeLeft(taken=1.5, left=3.2, at_once=4, minutes=48.0), "H100", 3.0)))
    taken so far: 1.5 GPU-hours, $4.50 at $3.00 an hour of an H100
    left: about 3.2 GPU-hours, $9.60; 48 min at 4 at once
    """
    unit = "processor-hours" if dollars_per_hour is None else "GPU-hours"
    price = "" if dollars_per_hour is None else f" at ${dollars_per_hour:,.2f} an hour of an {gpu}"
    lines = [f"taken so far: {hours_text(found.taken)} {unit}{_dollars(found.taken, dollars_per_hour)}{price}"]
    if found.left is None:
        return [*lines, "left: not known until a trial has been evaluated"]
    if not found.left:
        return lines
    clock = "" if found.minutes is None else f"; {_minutes(found.minutes)} at {found.at_once} at once"
    return [*lines, f"left: about {hours_text(found.left)} {unit}{_dollars(found.left, dollars_per_hour)}{clock}"]


def hours_text(hours: float) -> str:
    """Hours with two digits that say something.

    >>> hours_text(1234.5), hours_text(3.21), hours_text(0.0123), hours_text(0)
    ('1,234', '3.2', '0.012', '0')
    """
    if hours >= 100 or not hours:
        return f"{hours:,.0f}"
    return f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"


def _dollars(hours: float, dollars_per_hour: float | None) -> str:
    return "" if dollars_per_hour is None else f", ${hours * dollars_per_hour:,.2f}"


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
