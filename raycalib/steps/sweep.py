"""The sweep's steps: trials of all cells on labels that are there, the choice of a cell, and the leaderboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raycalib.errors import DataError, LossNotFiniteError
from raycalib.plans.gpu_prices import price_of
from raycalib.stages.boards.trackers.tracking import Tracking, open_tracking
from raycalib.stages.combo import Combo, GivenProbe, Unit
from raycalib.stages.output import StageError
from raycalib.stages.predictions.probe_trial import ProbeJob, fit_probe_job, probe_job, tracked_probe
from raycalib.stages.tuned.job_rungs import with_rungs
from raycalib.stages.tuned.spent import read_spent
from raycalib.stages.tuned.trial_files import TRAINING, VALIDATION, read_validation
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.steps.run import Run
from raycalib.steps.sweep_lines import say_sweep
from raycalib.steps.sweep_status import write_trials
from raycalib.steps.training_rows import n_train_rows
from raycalib.steps.tuned import Learned, has_training_set, job_of, not_tuned
from raycalib.storage import Location, read_manifest
from raycalib.sweeps.cells import Cell, within_rows
from raycalib.sweeps.leaderboard import leaderboard, write_leaderboard
from raycalib.sweeps.page import render_sweep
from raycalib.sweeps.search import search_of
from raycalib.sweeps.selection import chosen
from raycalib.sweeps.settings import SweepSettings
from raycalib.sweeps.spread import seeds_beside
from raycalib.sweeps.trials import FAILED, UNFINISHED, Trial, judged

Job = TuneJob | ProbeJob

NOT_THERE = "the combo has no rows to tune on; why is said above"


@dataclass(frozen=True)
class Swept:
    """A sweep's trials, the jobs of those that are chosen, and the chosen probes."""

    trials: Sequence[Trial]
    chosen: Sequence[TuneJob]
    probes: Mapping[Combo, GivenProbe]


def name_of(combo: Combo) -> str:
    """As cells name it."""
    return f"{combo.model.name}/{combo.style}"


def sweep(run: Run, learned: Mapping[str, Learned], cells: Sequence[Cell], settings: SweepSettings) -> Swept:
    """Tunes all cells, chooses one for each combo and method by ``val_select`` alone, and writes the leaderboard.

    Cells that are tuned already, by whatever sweep or run in this directory, are not tuned again. A combo and method
    without a finished trial is a hole.

    Raises:
        StageError: more trials have failed than may, or tuning was cut off; the leaderboard has what is done, and
            nothing is chosen.
    """
    cells = _within_rows(run, learned, cells)
    with open_tracking(settings.trackers, run.out) as tracking:
        return _swept(run, learned, cells, settings, tracking)


def _swept(
    run: Run, learned: Mapping[str, Learned], cells: Sequence[Cell], settings: SweepSettings, tracking: Tracking
) -> Swept:
    place, jobs = run.out / "sweep", _jobs(run, learned, cells)
    if settings.reduction_factor:
        jobs = _with_rungs(jobs, place / "rungs", settings)
    trials = _searched(run, learned, cells, jobs, settings, tracking)
    failed, left = _failed(trials), [trial for trial in trials if trial.state == UNFINISHED]
    if len(failed) > settings.max_failed_trials:
        write_leaderboard(place, leaderboard(trials, ()))
        raise StageError(
            f"sweep: {len(failed)} of {len(trials)} trials are not tuned, and {settings.max_failed_trials} may fail "
            f"(--max-failed-trials); nothing is chosen. The first, {failed[0].cell.combo} {failed[0].cell.title}: "
            f"{failed[0].reason}"
        )
    if left:
        write_leaderboard(place, leaderboard(trials, ()))
        raise StageError(
            f"sweep: {len(left)} of {len(trials)} trials are not finished, so nothing is chosen: {left[0].reason}; the "
            "same command goes on with them"
        )
    best, price = chosen(trials, settings.criterion), price_of(run.config)
    repeated = [cell for trial in best for cell in _repeats(trial, trials, settings.confirm_seeds)]
    more = _jobs(run, learned, repeated)
    write_trials(place, {trial.cell: jobs[trial.cell] for trial in trials if trial.key} | more, price)
    repeats = _tried(run, learned, repeated, more, settings, tracking)
    _add_holes(run, trials, best)
    keys = {trial.key for trial in best}
    write_leaderboard(place, leaderboard([*trials, *repeats], keys))
    place.write_bytes("index.html", render_sweep(trials, keys, settings.criterion, repeats, price).encode())
    say_sweep(place, trials, repeats, keys, settings.criterion)
    best_jobs = [jobs[trial.cell] for trial in best]
    combos = {name_of(combo): combo for combo in run.alive}
    return Swept(
        [*trials, *repeats],
        [job for job in best_jobs if isinstance(job, TuneJob)],
        {
            combos[trial.cell.combo]: job.given
            for trial, job in zip(best, best_jobs, strict=True)
            if isinstance(job, ProbeJob)
        },
    )


def _within_rows(run: Run, learned: Mapping[str, Learned], cells: Sequence[Cell]) -> list[Cell]:
    """The cells, of which those that want more training rows than there are want all, and are one."""
    if not any(cell.settings.train_rows for cell in cells):
        return list(cells)
    n_rows = {
        name_of(combo): n_train_rows(labelled, combo.style)
        for combo in run.alive
        if (labelled := learned[combo.model.name].labelled.get(Unit(run.training.name, combo.style)))
    }
    return within_rows(cells, n_rows)


def _jobs(run: Run, learned: Mapping[str, Learned], cells: Sequence[Cell]) -> dict[Cell, Job]:
    """The job of each cell whose combo has rows to tune on."""
    combos = {name_of(combo): combo for combo in run.alive}
    wanted = list(dict.fromkeys(cell.settings.method for cell in cells))
    usable = {
        name: combo for name, combo in combos.items() if has_training_set(run, combo, learned[combo.model.name], wanted)
    }
    return {
        cell: _job(run, usable[cell.combo], learned[usable[cell.combo].model.name], cell)
        for cell in cells
        if cell.combo in usable
    }


def _job(run: Run, combo: Combo, learned: Learned, cell: Cell) -> Job:
    if not cell.is_probe:
        return replace(job_of(run, combo, learned, cell.settings, cell.seed), cell=cell.title)
    unit = Unit(run.training.name, combo.style)
    labelled, features = learned.labelled[unit], learned.features[unit]
    return probe_job(combo, labelled, features, run.config.probe, cell.settings.train_rows, cell.seed, run.out)


def _with_rungs(jobs: Mapping[Cell, Job], place: Location, settings: SweepSettings) -> dict[Cell, Job]:
    """The jobs, of which those that are tuned are compared on their way."""
    return {
        cell: with_rungs(job, place, settings.grace_period, settings.reduction_factor)
        if isinstance(job, TuneJob)
        else job
        for cell, job in jobs.items()
    }


def _searched(
    run: Run,
    learned: Mapping[str, Learned],
    cells: Sequence[Cell],
    jobs: Mapping[Cell, Job],
    settings: SweepSettings,
    tracking: Tracking,
) -> list[Trial]:
    """What became of the cells that the search asks for, round by round, until more have failed than may."""
    price = price_of(run.config)
    search, trials = search_of(cells, settings, run.config.seed), list[Trial]()
    while (
        len(_failed(trials)) <= settings.max_failed_trials
        and not any(trial.was_cut_off for trial in trials)
        and (asked := search.ask())
    ):
        begun = [*(trial.cell for trial in trials), *asked]
        write_trials(run.out / "sweep", {cell: jobs[cell] for cell in begun if cell in jobs}, price, search.n_left)
        found = _tried(run, learned, asked, {cell: jobs[cell] for cell in asked if cell in jobs}, settings, tracking)
        search.tell(found)
        trials += found
    return trials


def _failed(trials: Sequence[Trial]) -> list[Trial]:
    """Those that were begun and failed."""
    return [trial for trial in trials if trial.state == FAILED and trial.was_begun]


def _tried(
    run: Run,
    learned: Mapping[str, Learned],
    cells: Sequence[Cell],
    jobs: Mapping[Cell, Job],
    settings: SweepSettings,
    tracking: Tracking,
) -> list[Trial]:
    """What became of the cells, in their order."""
    reasons = dict[str, str]()
    tune_jobs = {cell: job for cell, job in jobs.items() if isinstance(job, TuneJob)}
    for combo in run.alive:
        if of_combo := [job for cell, job in tune_jobs.items() if cell.combo == name_of(combo)]:
            reasons |= not_tuned(run, combo, learned, of_combo)
    wanted = [job for job in tune_jobs.values() if job.key not in reasons]
    result = run_tuning(
        wanted,
        run.out,
        run.cluster,
        settings.max_failed_trials,
        leave_stopped=not settings.restart_stopped,
        tracking=tracking,
    )
    for output in result.tuned.values():
        run.keep(output)
    probes = {cell: job for cell, job in jobs.items() if isinstance(job, ProbeJob)}
    not_begun = {"", *reasons}
    reasons |= {**result.failed} | _fit_probes(run, probes, tracking)
    trials = [_with_cost(_trial(cell, jobs.get(cell), reasons), jobs.get(cell)) for cell in cells]
    return [
        replace(
            trial,
            was_begun=trial.key not in not_begun,
            was_stopped=trial.key in result.stopped,
            was_cut_off=trial.key in result.cut_off,
        )
        for trial in trials
    ]


def _fit_probes(run: Run, jobs: Mapping[Cell, ProbeJob], tracking: Tracking) -> dict[str, str]:
    """Fits them in turn, seconds each, and without a language model; by key, why one is not."""
    reasons = dict[str, str]()
    for cell, job in jobs.items():
        trial = tracked_probe(job, f"{cell.combo} {cell.title}")
        try:
            output = fit_probe_job(job)
        except (DataError, LossNotFiniteError) as error:
            reasons[job.key] = str(error)
            tracking.ended(trial, "failed")
            continue
        run.keep(output)
        if not output.was_done:
            tracking.ended(trial, "finished")
    return reasons


def _trial(cell: Cell, job: Job | None, reasons: Mapping[str, str]) -> Trial:
    if job is None:
        return Trial(cell=cell, key="", place="", reason=NOT_THERE)
    if job.key in reasons:
        return Trial(cell=cell, key=job.key, place=job.place.uri, reason=" ".join(reasons[job.key].split()))
    if not job.place.exists(VALIDATION):
        reason = f"an older version tuned it and left no {VALIDATION}; remove its directory, and it is tuned again"
        return Trial(cell=cell, key=job.key, place=job.place.uri, reason=reason)
    row_ids, labels, margins = read_validation(job.place)
    best_step = int(job.place.read_json(TRAINING)["best_step"])
    return judged(cell, job.key, job.place.uri, best_step, row_ids, margins, labels)


def _with_cost(trial: Trial, job: Job | None) -> Trial:
    """The trial with the rows that it was tuned on and the time that it took, where these are noted."""
    if job is None:
        return trial
    manifest, spent = read_manifest(job.place), read_spent(job.place)
    trial = trial if spent is None else replace(trial, seconds=spent.seconds, gpus=spent.gpus)
    return trial if manifest is None else replace(trial, n_train=manifest.counts.get("train"))


def _repeats(trial: Trial, trials: Sequence[Trial], n: int) -> list[Cell]:
    """The trial's cell with other seeds than those that it was tried with."""
    taken = {each.cell.seed for each in trials if each.cell.without_seed == trial.cell.without_seed}
    return seeds_beside(trial.cell, n, taken)


def _add_holes(run: Run, trials: Sequence[Trial], best: Sequence[Trial]) -> None:
    """A combo and method of which no trial is chosen is a hole, with the reason of the first that failed."""
    there = {(trial.cell.combo, trial.cell.settings.method) for trial in best}
    combos = {name_of(combo): combo for combo in run.alive}
    for trial in trials:
        pair = (trial.cell.combo, trial.cell.settings.method)
        if trial.reason and trial.key and pair not in there and trial.cell.combo in combos:
            there.add(pair)
            run.failures.add(combos[trial.cell.combo], StageError(trial.reason), method=trial.cell.settings.method)
