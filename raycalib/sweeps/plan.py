"""What a sweep would take, told before anything is started."""

from collections import Counter
from collections.abc import Sequence

from raycalib.plan import plan_lines as run_plan_lines
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.config import SweepConfig
from raycalib.sweeps.trunks import computed_steps

SHOWN = 12


def plan_lines(config: SweepConfig, cells: Sequence[Cell]) -> list[str]:
    """Trials and what they share, then a worker's memory for each model; nothing is started, loaded or written.

    Raises:
        ModelError: a model is unknown, its configuration cannot be had, or its memory is not known.
    """
    combos = Counter(cell.combo for cell in cells)
    through_model = [cell for cell in cells if not cell.is_probe]
    computed = computed_steps(through_model)
    steps, shared = sum(computed), sum(cell.settings.steps for cell in through_model) - sum(computed)
    rows = sum(n * cell.settings.global_batch_size for cell, n in zip(through_model, computed, strict=True))
    models = {combo.rpartition("/")[0] for combo in combos}
    each = sorted(set(combos.values()))
    per_combo = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    titles = [cell.title for cell in cells if cell.combo == next(iter(combos))]
    more = f", and {len(titles) - SHOWN} more" if len(titles) > SHOWN else ""
    of_trunks = f" (and {shared:,} that trials of other steps share)" if shared else ""
    return [
        f"{len(cells):,} trials: {per_combo} of each of {len(combos)} combos ({'; '.join(titles[:SHOWN])}{more})",
        f"made once for all of them: answers, labels and features of {len(combos)} combos of {len(models)} model(s); "
        "the base model's states are kept for the trials of a combo",
        f"{steps:,} optimizer steps in all{of_trunks}, {rows:,} rows forward and back; the plain grid, each "
        f"trial from questions on, would make answers, labels and features {len(cells):,} times",
        f"trials at once: as many as the cluster holds workers ({_needs(config)} each), more as nodes join, up to "
        "--workers or 64; with fewer trials than GPUs one after the other by all of them",
        "the head: each trial of one worker is a process on its worker's node and takes nothing there; one of several "
        "workers keeps about 0.6 GB on the head while it runs",
        "",
        *run_plan_lines(config.run_config(cells)),
    ]


def _needs(config: SweepConfig) -> str:
    """What a trial of one worker takes."""
    gpus = config.ray.gpus_per_trainer
    return f"{config.ray.cpus_per_worker:g} CPU" + (f", {gpus} GPU" if gpus else "")
