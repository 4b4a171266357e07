"""The configuration of a sweep: a run's, and what is varied."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from raycalib.config import PipelineConfig, is_skipped
from raycalib.errors import ConfigError
from raycalib.evaluation.methods import BASELINES, COMBINED, PROBE, TUNED
from raycalib.plans.gpu_prices import price_of
from raycalib.sweeps.axes import Axis, parse_axes
from raycalib.sweeps.cells import Cell, grid, matching_combos, sample
from raycalib.sweeps.settings import SweepSettings
from raycalib.sweeps.tpe import most_in_a_round, require_optuna
from raycalib.sweeps.trackers import require_trackers


@dataclass(frozen=True, kw_only=True)
class SweepConfig(PipelineConfig):
    """A run whose combos are tuned in many ways.

    Attributes:
        sweep: what is varied.
    """

    sweep: SweepSettings = field(default_factory=SweepSettings)

    def run_config(self, cells: Sequence[Cell]) -> PipelineConfig:
        """That of the run: combos that are not swept are skipped; what the cells tune stands beside what is untuned."""
        wanted = {cell.combo for cell in cells}
        left_out = [combo for combo in all_combos(self) if combo not in wanted]
        tuned = [method for method in TUNED if any(cell.settings.method == method for cell in cells)]
        probes = any(cell.is_probe for cell in cells)
        untuned = [method for method in (*BASELINES, PROBE) if method in self.methods or (method == PROBE and probes)]
        combined = [COMBINED] if COMBINED in self.methods else []
        values = {each.name: getattr(self, each.name) for each in fields(PipelineConfig)}
        return PipelineConfig(**values | {"skip": (*self.skip, *left_out), "methods": (*untuned, *tuned, *combined)})


def all_combos(config: PipelineConfig) -> list[str]:
    """Names of the run's combos that are not skipped."""
    return [
        f"{model}/{style}"
        for model in config.models
        for style in config.styles
        if not is_skipped(config.skip, model, style)
    ]


def cells_of(config: SweepConfig) -> list[Cell]:
    """What the sweep tries, or where Optuna asks for some of them, what it may ask for.

    Raises:
        ConfigError: nothing is varied, an axis or a combo is unknown, there are too many trials, or Optuna, a tracker
            or the GPU's price is missing.
    """
    sweep = config.sweep
    price_of(config)
    if not sweep.axes:
        raise ConfigError("axis: nothing is varied; give for example --axis kl_decay=0,0.5,1 --axis steps=500,5000")
    combos = matching_combos(sweep.combos, all_combos(config))
    axes, base = parse_axes(sweep.axes, config.tuning), config.tuning
    if all(axis.name != "method" for axis in axes):
        tuned = [method for method in TUNED if method in config.methods]
        if not tuned:
            raise ConfigError(f"methods: a sweep tunes one of {' and '.join(TUNED)}; name it by --methods")
        base = replace(base, method=tuned[0])
        axes += [Axis("method", tuple(tuned))] if len(tuned) > 1 else []
    _check_rungs(sweep, axes)
    cells = grid(combos, axes, base, config.seed)
    if sweep.search == "random":
        cells = sample(cells, sweep.samples, config.seed)
    if sweep.search == "optuna":
        require_optuna()
    if not config.plan:
        require_trackers(sweep.trackers, config.out)
    if (n_trials := n_trials_of(sweep, cells)) > sweep.max_trials:
        raise ConfigError(
            f"axis: these are {n_trials:,} trials of {len(combos)} combos, more than --max-trials "
            f"({sweep.max_trials:,}); take values away, raise it, or try some of them by --search random --samples N"
        )
    return cells


def _check_rungs(sweep: SweepSettings, axes: Sequence[Axis]) -> None:
    """Raises ConfigError where repeats of a cell would be compared with one another, and stopped one by one."""
    if sweep.reduction_factor and any(axis.name == "seed" and len(axis.values) > 1 for axis in axes):
        raise ConfigError(
            "reduction_factor: with --axis seed, repeats of one cell would be stopped one by one, and a cell of which "
            "one is stopped is not chosen; leave one of the two out, and repeat the chosen cells by --confirm-seeds"
        )


def n_trials_of(sweep: SweepSettings, cells: Sequence[Cell]) -> int:
    """How many of the cells are tried."""
    return min(sweep.samples, len(cells)) if sweep.search == "optuna" else len(cells)


def n_begun_of(sweep: SweepSettings, cells: Sequence[Cell]) -> int:
    """How many of the cells are begun together at most: all that are tried, or a round of Optuna's."""
    return most_in_a_round(cells, sweep.samples) if sweep.search == "optuna" else len(cells)
