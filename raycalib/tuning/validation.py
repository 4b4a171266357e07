"""Log-odds of the validation rows while a run goes on, and which of the rows it can be selected by."""

from collections.abc import Callable, Sequence

import numpy as np

from raycalib.errors import LossNotFiniteError, ModelError
from raycalib.lm.adapters_off import adapters_off
from raycalib.lm.batching import length_batches, tokens_at_once
from raycalib.lm.engines.memory import TokenBudget, in_batches
from raycalib.tuning.batches import TuningRow, collate
from raycalib.tuning.engines import TrainingEngine
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.world import World

EVALUATION_TOKENS = 8192


class Validation:
    """The validation rows of a run, shared out among its workers, which call each method together.

    Args:
        rows: of all workers.
        engine: reads them.
        objective: of the engine.
        world: this worker's place.
        keeps_step: each worker holds a part of the weights, so that all make the same number of passes: then memory
            that runs out ends the run, where it else makes passes smaller.
        say: is given remarks, a line each.
    """

    def __init__(
        self,
        rows: Sequence[TuningRow],
        engine: TrainingEngine,
        objective: CalibrationObjective,
        world: World,
        keeps_step: bool,
        say: Callable[[str], None],
    ) -> None:
        self.rows, self.engine, self.objective, self.world, self.say = rows, engine, objective, world, say
        self.budget = None if keeps_step else TokenBudget(EVALUATION_TOKENS)
        self._left_out: np.ndarray | None = None

    def margins(self) -> np.ndarray:
        """(n,) float64 log-odds that the validation answers are correct."""
        return read_margins(self.rows, self.engine, self.world, self.budget)

    def judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds and labels of the rows that the run is selected by.

        Rows for which the base model itself has no finite logits are left out of all steps alike, and said. Others that
        become so while the run goes on stay: they are the run's own doing.
        """
        margins, labels = self.margins(), np.array([row.label for row in self.rows])
        if self._left_out is None and not np.isfinite(margins).all():
            with adapters_off(self.objective):
                self._left_out = ~np.isfinite(self.margins())
            if self.world.is_first and self._left_out.any():
                names = [row.row_id for row, out in zip(self.rows, self._left_out, strict=True) if out]
                self.say(
                    f"{len(names):,} of {len(self.rows):,} val_select rows are left out, the base model's logits for "
                    f"them are not finite ({', '.join(names[:3])}); try --dtype float32"
                )
        kept = self._kept()
        return margins[kept], labels[kept]

    @property
    def judged_rows(self) -> list[TuningRow]:
        """Those rows, once there was an evaluation."""
        return [row for row, keeps in zip(self.rows, self._kept(), strict=True) if keeps]

    def _kept(self) -> np.ndarray:
        if self._left_out is None or self._left_out.all():
            return np.ones(len(self.rows), dtype=bool)
        return ~self._left_out

    def nothing_to_choose(self) -> LossNotFiniteError:
        """What to raise where no evaluation had finite log-odds, so that there are no weights to keep."""
        bad = [row.row_id for row, margin in zip(self.rows, self.margins(), strict=True) if not np.isfinite(margin)]
        cause, remedy = "after tuning", "lower tuning.lr, or look at these rows"
        if self._left_out is not None and self._left_out.all():
            cause, remedy = "in the base model itself", "use --dtype float32, or look at these rows"
        names = f" ({', '.join(bad[:3])}{', …' if len(bad) > 3 else ''})" if bad else ""
        return LossNotFiniteError(
            f"tuning: no step can be chosen, at every evaluation the log-odds of val_select are not finite: {cause} "
            f"those of {len(bad):,} of {len(self.rows):,} val_select rows{names}; {remedy}"
        )


def read_margins(
    rows: Sequence[TuningRow], engine: TrainingEngine, world: World, budget: TokenBudget | None
) -> np.ndarray:
    """(n,) float64 log-odds that the rows' answers are correct, shared out among the workers, which all call it.

    Args:
        rows: of all workers.
        engine: reads them.
        world: this worker's place.
        budget: of a pass, which becomes smaller where memory runs out; None where workers must make the same number of
            passes.

    Raises:
        ModelError: a row does not fit into memory alone.
    """
    mine = list(rows[world.rank :: world.size])
    lengths = {place: len(row.query_ids) for place, row in enumerate(mine)}

    def at_once(tokens: int) -> int:
        return tokens_at_once(tokens, world.device)

    def read(places: list[int]) -> list[float]:
        batch = collate([mine[place] for place in places], with_kl=False).to(world.device)
        logits = engine.read(batch, "query_logits").double()
        margins: list[float] = (logits[:, 1] - logits[:, 0]).cpu().tolist()
        return margins

    if budget is not None:
        found = in_batches(lengths, budget, read, at_once)
    else:
        batches = list(length_batches(list(lengths.values()), at_once(EVALUATION_TOKENS)))
        found = {place: margin for batch in batches for place, margin in zip(batch, read(batch), strict=True)}
        for _ in range(max(world.gather([len(batches)])) - len(batches)):  # ZeRO-3 gathers weights in each
            engine.read(collate([rows[0]], with_kl=False).to(world.device), "query_logits")
    return np.array(world.gather([_fitting(found[place], row) for place, row in enumerate(mine)]))


def _fitting(margin: float | None, row: TuningRow) -> float:
    if margin is None:
        raise ModelError(
            f"tuning: row {row.row_id} of {row.length:,} tokens does not fit into memory alone; lower tuning.max_tokens"
        )
    return margin
