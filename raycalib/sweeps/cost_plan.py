"""GPU-hours of a sweep before anything has run: operations by arithmetic, over an assumed speed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raycalib.sweeps.cells import Cell
from raycalib.sweeps.trunks import computed_steps, group_of
from raycalib.tuning.compute_plan import query_tokens, reading_flops, tuning_flops
from raycalib.tuning.memory_plan import PlannedRun


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Operations of several trials of one model.

    Attributes:
        trials: in all.
        steps: of their optimizer steps.
        validation: of their evaluations.
        shared: once for each combo: features, and the base model's states where something is compared with them.
        groups: of each group of trials that follow one another on a trunk, or of one alone; none where only some of the
            trials will be made.
    """

    trials: float
    steps: float
    validation: float
    shared: float
    groups: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """Of all of it."""
        return self.steps + self.validation + self.shared

    def scaled(self, share: float) -> "Flops":
        """Of this share of the trials; what is shared stays as it is."""
        return replace(
            self,
            trials=self.trials * share,
            steps=self.steps * share,
            validation=self.validation * share,
            groups=self.groups if share == 1 else (),
        )


def model_flops(cells: Sequence[Cell], run: PlannedRun, val_rows: int) -> Flops:
    """Of one model's cells; probes take seconds and count nothing.

    Args:
        cells: of all its combos.
        run: the model's, with the data that is assumed.
        val_rows: of ``val_select``.
    """
    through_model = [cell for cell in cells if not cell.is_probe]
    of_cells = [
        tuning_flops(
            replace(run, compares=cell.settings.kl_weight > 0),
            n_steps,
            cell.settings.global_batch_size,
            cell.settings.eval_every,
            val_rows,
        )
        for cell, n_steps in zip(through_model, computed_steps(through_model), strict=True)
    ]
    groups = dict[object, float]()
    for cell, of_cell in zip(through_model, of_cells, strict=True):
        groups[group_of(cell)] = groups.get(group_of(cell), 0.0) + of_cell.total
    combos = dict.fromkeys(cell.combo for cell in cells)
    shared = sum(
        reading_flops(run, run.rows + val_rows, query_tokens(run))
        + reading_flops(
            run, compared_rows([cell for cell in through_model if cell.combo == combo], run), run.tokens_per_row
        )
        for combo in combos
    )
    return Flops(
        trials=float(len(cells)),
        steps=sum(each.steps for each in of_cells),
        validation=sum(each.validation for each in of_cells),
        shared=shared,
        groups=tuple(groups.values()),
    )


def compared_rows(cells: Sequence[Cell], run: PlannedRun) -> int:
    """Rows whose states of the base model a combo's trials need: those that the longest of them reads."""
    return max(
        (
            min(run.rows, cell.settings.train_rows or run.rows, cell.settings.steps * cell.settings.global_batch_size)
            for cell in cells
            if cell.settings.kl_weight > 0
        ),
        default=0,
    )
