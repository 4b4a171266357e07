"""What a sweep says at its end."""

from collections.abc import Collection, Sequence

from raycalib.stages.lines.progress import say
from raycalib.storage import Location
from raycalib.sweeps.selection import CRITERIA, Criterion, not_compared
from raycalib.sweeps.spread import spread_lines
from raycalib.sweeps.trials import FAILED, STOPPED, Trial

SHOWN = 5
"""Trials of a combo that are printed, beside the chosen one."""

FAILURES_SHOWN = 3


def say_sweep(
    place: Location, trials: Sequence[Trial], repeats: Sequence[Trial], chosen: Collection[str], criterion: Criterion
) -> None:
    """The best trials of each combo, the chosen ones among them, what failed, and where all of it is."""
    failed = [trial for trial in (*trials, *repeats) if trial.state == FAILED]
    stopped = [trial for trial in (*trials, *repeats) if trial.state == STOPPED]
    n_failed = "".join(f", {len(each)} {each[0].state}" for each in (stopped, failed) if each)
    say(f"sweep: {len(trials) + len(repeats)} trials{n_failed}; leaderboard: {place.uri}/leaderboard.csv")
    for combo in dict.fromkeys(trial.cell.combo for trial in trials):
        _say_combo(combo, [trial for trial in trials if trial.cell.combo == combo], chosen)
    for line in spread_lines(trials, repeats, chosen):
        say(f"  with other seeds: {line}")
    for trial in failed[:FAILURES_SHOWN]:
        say(f"  {trial.cell.combo} {trial.cell.title}: failed: {trial.reason}")
    if len(failed) > FAILURES_SHOWN:
        say(f"  {len(failed) - FAILURES_SHOWN} more failed; why is in the leaderboard")
    if stopped:
        say("  why trials were stopped is in the leaderboard; --restart-stopped goes on with them")
    for title in not_compared(trials):
        say(f"  {title}: not compared, since one of its seeds failed or was stopped")
    if chosen:
        say(f"  * chosen: {CRITERIA[criterion]}; test rows are read for the chosen ones alone")
    say(f"Sweep: {place.uri}/index.html")


def _say_combo(combo: str, trials: Sequence[Trial], chosen: Collection[str]) -> None:
    ranked = sorted((trial for trial in trials if trial.nll is not None), key=lambda trial: trial.nll or 0.0)
    listed = [trial for place, trial in enumerate(ranked) if place < SHOWN or trial.key in chosen]
    for trial in listed:
        mark = "*" if trial.key in chosen else " "
        auroc = "–" if trial.auroc is None else f"{trial.auroc:.3f}"
        error = "" if trial.nll_se is None else f" ± {trial.nll_se:.4f}"
        say(
            f"  {mark} {combo} {trial.cell.title}: val NLL {trial.nll:.4f}{error} · ECE {trial.ece:.3f} · "
            f"AUROC {auroc} · best step {trial.best_step}"
        )
    if more := len(ranked) - len(listed):
        say(f"    {combo}: {more} more in the leaderboard")
