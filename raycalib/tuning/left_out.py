"""Training rows that nothing can be learned from: the base model itself has no finite numbers for them."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from raycalib.errors import LossNotFiniteError
from raycalib.hashing import stable_hash
from raycalib.lm.adapters_off import adapters_off
from raycalib.lm.engines.memory import TokenBudget
from raycalib.storage import Location
from raycalib.tuning.engines import TrainingEngine
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.reference import ReferenceStates
from raycalib.tuning.reference_pass import begun_elsewhere
from raycalib.tuning.validation import read_margins
from raycalib.tuning.world import World

SHOWN = 3
NOT_FINITE = "not_finite"


def rows_left_out(
    reference: ReferenceStates,
    needed: Sequence[int],
    engine: TrainingEngine,
    objective: CalibrationObjective,
    world: World,
    say: Callable[[str], None],
    budget: TokenBudget | None,
    *,
    has_states: bool,
    run: str = "",
) -> frozenset[int]:
    """Rows whose query logits, or stored states, of the base model are not finite; all workers call it together.

    One of them would make the loss of its step NaN, and with it all weights. The logits take a pass over the rows, once
    per dataset and model: what was found lies beside the states, a file for each of the states' chunks of rows.

    Args:
        reference: the rows, and where what is known of them lies.
        needed: those that are trained on.
        engine: reads them.
        objective: of the engine.
        world: this worker's place.
        say: is given a remark.
        budget: see ``read_margins``.
        has_states: there are stored states of the needed rows.
        run: names it; runs that begin side by side begin at different rows.

    Raises:
        LossNotFiniteError: they are half of all rows or more.
    """
    of_states = world.from_first(lambda: reference.not_finite(needed)) if has_states else []
    bad = sorted({*of_states, *_without_logits(reference, needed, engine, objective, world, budget, run)})
    if not bad:
        return frozenset()
    names = ", ".join(reference.rows[member].row_id for member in bad[:SHOWN])
    line = (
        f"{len(bad):,} of {len(needed):,} training rows have states or query logits of the base model that are not "
        f"finite (NaN or infinite; {names})"
    )
    if 2 * len(bad) >= len(needed):
        raise LossNotFiniteError(f"tuning: {line}; use --dtype float32, or look at the model's weights")
    if world.is_first:
        say(f"{line}: they are left out; try --dtype float32, and look at these rows")
    return frozenset(bad)


def _without_logits(
    reference: ReferenceStates,
    needed: Sequence[int],
    engine: TrainingEngine,
    objective: CalibrationObjective,
    world: World,
    budget: TokenBudget | None,
    run: str,
) -> list[int]:
    """Of the rows in all chunks that hold needed ones, so that runs on other rows of these find it there."""
    place, found = reference.place, set[int]()
    for number in begun_elsewhere(reference.holding(needed), run):
        chunk = reference.chunks[number]
        rows = [reference.rows[member] for member in chunk]
        name = f"finite-{stable_hash(reference.model_key, [row.query_ids for row in rows])}.json"
        known = world.from_first(partial(_known, place, name))
        if known is None:
            with adapters_off(objective):
                margins = read_margins(rows, engine, world, budget)
            known = np.flatnonzero(~np.isfinite(margins)).tolist()
            if world.is_first:
                place.write_json(name, {NOT_FINITE: known})
        found |= {chunk[within] for within in known}
    return sorted(found.intersection(needed))


def _known(place: Location, name: str) -> list[int] | None:
    """Places within a chunk, if they were looked for before."""
    if not place.exists(name):
        return None
    known: list[int] = place.read_json(name)[NOT_FINITE]
    return known
