"""What a whole run would take, as lines for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raycalib.config import PipelineConfig, is_skipped
from raycalib.evaluation.methods import TUNED
from raycalib.lm.find_shape import find_shape
from raycalib.lm.names import find_model
from raycalib.plans.clock import pools_clock, trials_clock
from raycalib.plans.disk import DiskPlan, disk_plan
from raycalib.plans.gpu_prices import GpuPrice, price_of
from raycalib.plans.head import head_line
from raycalib.plans.judge import judge_line
from raycalib.plans.memory import memory_lines, planned_run, planned_workers
from raycalib.plans.rows import PlannedRows, planned_rows
from raycalib.plans.work import ANSWERS, DECODING_SHARE, OPEN_ENDED, SCORING, TUNING, StageWork, combo_work
from raycalib.printable import printable_line
from raycalib.tuning.memory_plan import PlannedRun

GB = 1e9


@dataclass(frozen=True, kw_only=True)
class PlannedCombo:
    """One model and style of a plan."""

    model: str
    style: str
    run: PlannedRun
    rows: PlannedRows
    stages: Sequence[StageWork]
    disk: DiskPlan


def plan_lines(config: PipelineConfig) -> list[str]:
    """Stages with their rows, tokens, hours and dollars, the judge, disks and head, then a worker's memory.

    Nothing is started, loaded or written.

    Raises:
        ConfigError: a price, a set or a style is not known.
        DataError: questions of one's own cannot be read.
        ModelError: a model is unknown, its configuration cannot be had, or its memory is not known.
    """
    price = price_of(config)
    combos = _combos(config, price)
    n_models = len({combo.model for combo in combos})
    lines = [f"{len(combos)} combos of {n_models} model(s), {_rows_said(combos)}", ""]
    lines += [*_stage_lines(combos, price), ""]
    lines += _sum_lines(config, combos, price)
    lines += [_labels(config, combos), *_disk_lines(combos, len(combos) * len(set(TUNED) & set(config.methods)))]
    workers = planned_workers(config)
    lines.append(head_line(workers, max(1, min(len(combos), config.ray.most_on_a_cluster // workers))))
    lines += _basis_lines(config, price)
    tunes = set(TUNED) & set(config.methods)
    return [*lines, "", *(memory_lines(config) if tunes else [])]


def once_lines(config: PipelineConfig, n_trials: int) -> list[str]:
    """What all trials of a sweep share beside features, the evaluation of what is chosen, and disks.

    Args:
        config: of the run that the sweep makes.
        n_trials: that leave an adapter.

    Raises:
        ConfigError, DataError, ModelError: see ``plan_lines``.
    """
    price = price_of(config)
    combos = _combos(config, price)
    lines = list[str]()
    for name in (ANSWERS, SCORING):
        of_stage = [stage for combo in combos for stage in combo.stages if stage.stage == name]
        hours = _hours(of_stage)
        cost = (
            ""
            if hours is None or price is None
            else f", {hours:,.1f} GPU-hours, ${hours * price.dollars_per_hour:,.2f}"
        )
        rows = sum(stage.rows for stage in of_stage)
        lines += [f"  {name}, once for each combo: {rows:,} rows{cost}"] if of_stage else []
    return [*lines, f"  {_labels(config, combos)}", *_disk_lines(combos, n_trials)]


def _labels(config: PipelineConfig, combos: Sequence[PlannedCombo]) -> str:
    n_judged = sum(_n_answers(combo) for combo in combos if combo.style == OPEN_ENDED)
    return judge_line(config, combos[0].run, n_judged)


def _combos(config: PipelineConfig, price: GpuPrice | None) -> list[PlannedCombo]:
    by_style = {style: planned_rows(config, style) for style in config.styles}
    combos = []
    for name in config.models:
        of_model = planned_run(config, find_shape(find_model(name, config.model_root)))
        for style, rows in by_style.items():
            if not is_skipped(config.skip, name, style):
                run = replace(of_model, rows=rows.train)
                stages = combo_work(config, run, style, rows, price)
                disk = disk_plan(config, run, rows)
                combos.append(PlannedCombo(model=name, style=style, run=run, rows=rows, stages=stages, disk=disk))
    return combos


def _n_answers(combo: PlannedCombo) -> int:
    return combo.rows.learned + combo.rows.n_evaluated


def _rows_said(combos: Sequence[PlannedCombo]) -> str:
    """Rows of each combo, by style where styles differ."""
    said = {
        combo.style: (
            f"{combo.rows.train:,} to tune on, {combo.rows.val_select:,} to select and "
            f"{combo.rows.val_calibrate:,} to calibrate on, "
            + (", ".join(f"{n:,} of {name}" for name, n in combo.rows.evaluated.items()) or "none")
            + " to evaluate on"
        )
        for combo in combos
    }
    counted = "counted" if all(combo.rows.is_counted for combo in combos) else "as far as is known or assumed"
    if len(set(said.values())) == 1:
        return f"rows of each ({counted}): {next(iter(said.values()))}"
    return f"rows ({counted}): " + "; ".join(f"{style}: {text}" for style, text in said.items())


def _stage_lines(combos: Sequence[PlannedCombo], price: GpuPrice | None) -> list[str]:
    lines = [
        f"  {'stage, all combos together':<28}{'rows':>12}{'tokens read':>16}{'written':>14}{'GPU-hours':>12}{'$':>12}"
    ]
    for name in dict.fromkeys(stage.stage for combo in combos for stage in combo.stages):
        of_stage = [stage for combo in combos for stage in combo.stages if stage.stage == name]
        rows, read, written = (
            sum(getattr(stage, part) for stage in of_stage) for part in ("rows", "tokens_read", "tokens_written")
        )
        lines.append(f"  {name:<28}{rows:>12,}{read:>16,}{written:>14,}{_cost(_hours(of_stage), price)}")
    total = [stage for combo in combos for stage in combo.stages]
    return [*lines, f"  {'in all':<28}{'':>42}{_cost(_hours(total), price)}"]


def _cost(hours: float | None, price: GpuPrice | None) -> str:
    if hours is None or price is None:
        return f"{'not known':>12}"
    return f"{hours:>12,.1f}{hours * price.dollars_per_hour:>12,.2f}"


def _hours(stages: Sequence[StageWork]) -> float | None:
    hours = [stage.gpu_hours for stage in stages]
    return None if any(each is None for each in hours) else sum(each for each in hours if each is not None)


def _sum_lines(config: PipelineConfig, combos: Sequence[PlannedCombo], price: GpuPrice | None) -> list[str]:
    """GPU-hours by model, and hours on the clock."""
    if price is None:
        return ["hours: none is known for processors; a run says what each stage has left while it is at work"]
    lines = []
    for name in dict.fromkeys(combo.model for combo in combos):
        hours = _hours([stage for combo in combos if combo.model == name for stage in combo.stages]) or 0.0
        lines.append(f"  {printable_line(name)}: {hours:,.1f} GPU-hours, ${hours * price.dollars_per_hour:,.2f}")
    return [*lines, _clock_line(config, combos)]


def _clock_line(config: PipelineConfig, combos: Sequence[PlannedCombo]) -> str:
    """Shards keep all GPUs at work but for the pools' starts and ends; trials as many as there are of them."""
    n_gpus, workers = config.planning.gpus, planned_workers(config)
    tuning = [hours for stage in _stages(combos) if _is_tuning(stage) and (hours := stage.gpu_hours)]
    of_pools = dict.fromkeys(stage.stage for stage in _stages(combos) if not _is_tuning(stage) and stage.gpu_hours)
    others = _hours([stage for stage in _stages(combos) if not _is_tuning(stage)]) or 0.0
    pools, trials = pools_clock(others, len(of_pools), n_gpus), trials_clock(tuning, workers, n_gpus)
    at_once = min(max(n_gpus // workers, 1), len(tuning))
    said = f"{', '.join(of_pools)} {pools.hours:,.1f} ({pools.share:.0%} of the GPUs' time at work)"
    if tuning:
        said += f", tuning {trials.hours:,.1f} ({trials.share:.0%}: {at_once} trials at once"
        said += f", the longest takes {max(tuning) / workers:,.1f})"
    return f"on the clock: {pools.hours + trials.hours:,.1f} hours with {n_gpus} GPUs (--planning.gpus): {said}"


def _stages(combos: Sequence[PlannedCombo]) -> list[StageWork]:
    return [stage for combo in combos for stage in combo.stages]


def _is_tuning(stage: StageWork) -> bool:
    return stage.stage.startswith(TUNING)


def _disk_lines(combos: Sequence[PlannedCombo], n_adapters: int) -> list[str]:
    parts = {name: sum(getattr(combo.disk, name) for combo in combos) for name in ("rows", "features", "states")}
    parts["adapters"] = round(sum(combo.disk.adapter for combo in combos) / len(combos) * n_adapters)
    total = sum(parts.values())
    weights = {combo.model: combo.disk.weights for combo in combos}
    return [
        f"storage of --out: {total / GB:,.1f} GB: {parts['rows'] / GB:,.1f} of texts, {parts['features'] / GB:,.1f} of "
        f"hidden states, {parts['states'] / GB:,.1f} of the base model's states to tune against, "
        f"{parts['adapters'] / GB:,.1f} of adapters and their checkpoints",
        f"cache of weights on a node (HF_HOME): up to {sum(weights.values()) / GB:,.1f} GB for all models, "
        f"{max(weights.values()) / GB:,.1f} for the largest",
    ]


def _basis_lines(config: PipelineConfig, price: GpuPrice | None) -> list[str]:
    planning = config.planning
    lines = [
        f"assumed: rows of {planning.tokens_per_row} tokens, {planning.eval_tokens_per_row} where they are evaluated "
        "on (--planning.tokens-per-row, --planning.eval-tokens-per-row); answers as long as is allowed "
        f"({config.max_new_tokens} tokens)"
    ]
    if price is not None:
        reads = ""
        if share := DECODING_SHARE.get(config.engine.name):
            reads = f", {share:.0%} of its {price.gb_per_second:,g} GB/s while answers are written"
        lines += [
            f"  {price.utilisation:.0%} of an {price.name}'s {price.tflops:,g} TFLOP/s in bfloat16{reads}; "
            f"${price.dollars_per_hour:,.2f} an hour ({price.source}, {price.as_of}); --planning.gpu and "
            "--planning.prices name others",
            "  not in it: loading of models (on the clock a minute for each pool), nodes that wait, the head, disks, "
            "traffic",
        ]
    return lines
