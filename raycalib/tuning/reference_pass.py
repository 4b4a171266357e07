"""Computes the reference states that are not there yet, shared out among the workers."""

from collections.abc import Callable, Sequence

from torch import Tensor

from raycalib.lm.adapters_off import adapters_off
from raycalib.lm.batching import length_batches, tokens_at_once
from raycalib.tuning.batches import collate_reference
from raycalib.tuning.engines import TrainingEngine
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.reference import ReferenceStates
from raycalib.tuning.world import World

TOKENS_PER_PASS = 8192


def compute_missing(
    reference: ReferenceStates,
    needed: Sequence[int],
    engine: TrainingEngine,
    objective: CalibrationObjective,
    world: World,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Writes the files that hold needed rows and are missing; all workers call it together.

    Every worker makes the same number of passes, some for nothing: ZeRO-3 gathers weights in each.

    Raises:
        StorageError: a file cannot be written.
    """
    wanted = set(needed)
    missing = [
        number for number in world.from_first(reference.missing) if not wanted.isdisjoint(reference.members(number))
    ]
    if not missing:
        world.barrier()
        return
    at_once = tokens_at_once(TOKENS_PER_PASS, world.device)
    shares = [
        [_passes(reference, number, at_once) for number in missing[rank :: world.size]] for rank in range(world.size)
    ]
    n_passes = [sum(map(len, share)) for share in shares]
    if world.is_first:
        say(
            f"reference states: {len(missing)} of {len(reference.names)} files to compute, "
            f"{reference.n_bytes / 2**20:,.1f} MiB in all, in {reference.place.uri}"
        )
    with adapters_off(objective):
        for number, passes in zip(missing[world.rank :: world.size], shares[world.rank], strict=True):
            reference.write(number, _states(reference, number, passes, engine, world))
        for _ in range(max(n_passes) - n_passes[world.rank]):
            engine.read(collate_reference([reference.rows[0]]).to(world.device), "kl_states")
    world.barrier()


def _passes(reference: ReferenceStates, number: int, at_once: int) -> list[list[int]]:
    """A file's rows in passes of like length."""
    members = reference.members(number)
    batches = length_batches([len(reference.rows[member].kl_ids) for member in members], at_once)
    return [[members[place] for place in batch] for batch in batches]


def _states(
    reference: ReferenceStates, number: int, passes: Sequence[Sequence[int]], engine: TrainingEngine, world: World
) -> list[Tensor]:
    states: dict[int, Tensor] = {}
    for members in passes:
        rows = [reference.rows[member] for member in members]
        found = engine.read(collate_reference(rows).to(world.device), "kl_states")
        parts = found.to(reference.dtype).cpu().split([row.n_target for row in rows])
        states.update(zip(members, parts, strict=True))
    return [states[member] for member in reference.members(number)]
