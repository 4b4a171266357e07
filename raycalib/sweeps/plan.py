"""What a sweep would take, told before anything is started."""

from collections import Counter
from collections.abc import Sequence
import os

import torch

from raycalib.lm.find_shape import find_shape
from raycalib.lm.names import find_model
from raycalib.plans.clock import Clock, trials_clock
from raycalib.plans.gpu_prices import GpuPrice, price_of
from raycalib.plans.head import head_line
from raycalib.plans.memory import memory_lines, planned_run
from raycalib.plans.run_plan import once_lines
from raycalib.printable import printable_line
from raycalib.sweeps.at_once import Cap, Room, trials_at_once
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.config import SweepConfig, n_begun_of, n_trials_of
from raycalib.sweeps.cost_plan import Flops, model_flops
from raycalib.sweeps.trunks import computed_steps, n_one_after_another

SHOWN = 12


def plan_lines(config: SweepConfig, cells: Sequence[Cell]) -> list[str]:
    """Trials and what they share, hours and dollars, how many at once, then a worker's memory for each model.

    Nothing is started, loaded or written.

    Raises:
        ModelError: a model is unknown, its configuration cannot be had, or its memory is not known.
    """
    n_trials = n_trials_of(config.sweep, cells)
    n_begun = n_begun_of(config.sweep, cells)
    workers = _workers(config, min(n_begun, n_one_after_another(cells)))
    each = (workers, config.ray.cpus_per_worker, config.ray.gpus_per_trainer)
    in_rounds, run_config = n_begun < n_trials, config.run_config(cells)
    at_once = n_begun if in_rounds else min(n_begun, n_one_after_another(cells))
    cap = trials_at_once(_room(config), at_once, *each, in_rounds=in_rounds)
    return [
        *_trial_lines(config, cells, n_trials),
        *_cost_lines(config, cells, n_trials, workers, (cap.n or 0) * workers * config.ray.gpus_per_trainer),
        *once_lines(run_config, n_trials),
        _cap_line(cap),
        _head_line(config, workers, cap, at_once),
        "",
        *memory_lines(run_config),
    ]


def _trial_lines(config: SweepConfig, cells: Sequence[Cell], n_trials: int) -> list[str]:
    combos = Counter(cell.combo for cell in cells)
    models = {combo.rpartition("/")[0] for combo in combos}
    each = sorted(set(combos.values()))
    per_combo = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    titles = [cell.title for cell in cells if cell.combo == next(iter(combos))]
    more = f", and {len(titles) - SHOWN} more" if len(titles) > SHOWN else ""
    listed = f"{per_combo} of each of {len(combos)} combos ({'; '.join(titles[:SHOWN])}{more})"
    if config.sweep.search == "optuna":
        first = (
            f"{n_trials:,} trials of {len(cells):,} cells, {listed}: which of them is not known beforehand, since "
            "Optuna's TPE asks for a few at a time by what those before have shown"
        )
    else:
        first = f"{n_trials:,} trials: {listed}"
    lines = [first]
    if n := _n_confirming(config, cells):
        lines.append(f"{n:,} more with other seeds of the chosen cells (--confirm-seeds)")
    lines.append(
        f"made once for all of them: answers, labels and features of {len(combos)} combos of {len(models)} model(s); "
        "the base model's states are kept for the trials of a combo"
    )
    through_model = [cell for cell in cells if not cell.is_probe]
    if n_trials == len(cells):
        computed = computed_steps(through_model)
        steps, shared = sum(computed), sum(cell.settings.steps for cell in through_model) - sum(computed)
        rows = sum(n * cell.settings.global_batch_size for cell, n in zip(through_model, computed, strict=True))
        of_trunks = f" (and {shared:,} that trials of other steps share)" if shared else ""
        lines.append(
            f"{steps:,} optimizer steps in all{of_trunks}, {rows:,} rows forward and back; the plain grid, each "
            f"trial from questions on, would make answers, labels and features {len(cells):,} times"
        )
    return lines


def _n_confirming(config: SweepConfig, cells: Sequence[Cell]) -> int:
    """Trials with other seeds of chosen cells, one of each combo and method."""
    return config.sweep.confirm_seeds * len({(cell.combo, cell.settings.method) for cell in cells})


def _cost_lines(config: SweepConfig, cells: Sequence[Cell], n_trials: int, workers: int, n_gpus: int) -> list[str]:
    """GPU-hours and dollars, by model and in all, and what they rest on.

    Args:
        config, cells, n_trials: of the sweep.
        workers: of each trial.
        n_gpus: of all trials at once; 0 where only the cluster will tell.
    """
    price = price_of(config)
    if price is None:
        return ["hours: none is known for processors until a trial is finished; --status says then what is left"]
    if config.dtype == "float32":
        return ["hours: none is known for float32 until a trial is finished; the table of GPUs has bfloat16 peaks"]
    share = (n_trials + _n_confirming(config, cells)) / len(cells)
    by_model = dict[str, list[Cell]]()
    for cell in cells:
        by_model.setdefault(cell.combo.rpartition("/")[0], []).append(cell)
    known = dict[str, Flops]()
    for name, of_model in by_model.items():
        run = planned_run(config, find_shape(find_model(name, config.model_root)))
        known[name] = model_flops(of_model, run, config.planning.val_rows).scaled(share)
    where = "at once" if n_gpus else "at once, for example (--planning.gpus)"
    clock = _clock(list(known.values()), price, workers, n_gpus or config.planning.gpus)
    said = f"{clock.hours:,.1f} hours on the clock with {n_gpus or config.planning.gpus} GPUs {where}"
    at_work = f"{clock.share:.0%} of their time at work" if share == 1 else "were all of them at work"
    sums = f"{_sums(list(known.values()), price)}; {said}, {at_work}"
    return [sums, *_model_lines(known, price), *_basis_lines(price)]


def _clock(known: Sequence[Flops], price: GpuPrice, workers: int, n_gpus: int) -> Clock:
    """Where it is not known which trials will be made, all GPUs are taken to be at work."""
    groups = [price.hours(flops) for each in known for flops in each.groups]
    rest = price.hours(sum(each.total - sum(each.groups) for each in known))
    return trials_clock(groups, workers, n_gpus, rest)


def _sums(known: Sequence[Flops], price: GpuPrice) -> str:
    hours = price.hours(sum(each.total for each in known))
    steps, validation, shared = (
        price.hours(sum(getattr(each, part) for each in known)) for part in ("steps", "validation", "shared")
    )
    return (
        f"estimate: {hours:,.1f} GPU-hours, ${hours * price.dollars_per_hour:,.2f}: {steps:,.1f} for optimizer steps, "
        f"{validation:,.1f} for their validation, {shared:,.1f} once for features and the base model's states"
    )


def _model_lines(known: dict[str, Flops], price: GpuPrice) -> list[str]:
    lines = []
    for name, each in known.items():
        hours = price.hours(each.total)
        lines.append(
            f"  {printable_line(name)}: {each.trials:,.0f} trials, {hours:,.1f} GPU-hours, "
            f"${hours * price.dollars_per_hour:,.2f}"
        )
    return lines


def _basis_lines(price: GpuPrice) -> list[str]:
    return [
        f"  assumed: {price.utilisation:.0%} of an {price.name}'s {price.tflops:,g} TFLOP/s in bfloat16, and "
        f"${price.dollars_per_hour:,.2f} an hour ({price.source}, {price.as_of}); --planning.gpu and --planning.prices "
        "name others; measured figures take their place in --status once a trial is finished",
        "  not in it: what follows; loading of models; nodes that wait",
    ]


def _cap_line(cap: Cap) -> str:
    return f"trials at once: {cap.why}" if cap.n is None else f"trials at once: {cap.n} ({cap.why})"


def _head_line(config: SweepConfig, workers: int, cap: Cap, n_begun: int) -> str:
    at_once = min(n_begun, config.ray.most_on_a_cluster // workers) if cap.n is None else cap.n
    return head_line(workers, at_once)


def _workers(config: SweepConfig, n_begun: int) -> int:
    """Workers of a trial, as many as a run would give it on this machine."""
    if config.ray.train_workers:
        return config.ray.train_workers
    n_gpus = torch.cuda.device_count() if config.ray.gpus_per_worker else 0
    return 1 if n_begun >= n_gpus and not config.tuning.zero_stage else max(1, n_gpus)


def _room(config: SweepConfig) -> Room:
    return Room(
        cpus=os.cpu_count() or 1,
        gpus=torch.cuda.device_count(),
        is_joined=bool(config.ray.address or os.environ.get("RAY_ADDRESS")),
        most=config.ray.most_on_a_cluster,
        is_said=config.ray.max_workers > 0,
    )
