"""Computes the reference states that are not there yet, shared out among the workers."""

from collections.abc import Callable, Sequence

from torch import Tensor

from raycalib.errors import ModelError
from raycalib.hashing import stable_seed
from raycalib.lm.adapters_off import adapters_off
from raycalib.lm.batching import length_batches, tokens_at_once
from raycalib.lm.engines.memory import TokenBudget, in_batches
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
    budget: TokenBudget | None = None,
    run: str = "",
) -> None:
    """Writes the files that hold needed rows and are missing; all workers call it together.

    Without a budget every worker makes the same number of passes, some for nothing: ZeRO-3 gathers weights in each.
    With one, passes shrink where memory runs out. Runs of one worker each that begin side by side share the work: each
    starts at another file, and takes those that are there by then as they are.

    Raises:
        ModelError: a row does not fit into memory alone.
        StorageError: a file cannot be written.
    """
    holding = set(reference.holding(needed))
    missing = [number for number in world.from_first(reference.missing) if number in holding]
    if not missing:
        world.barrier()
        return
    at_once = tokens_at_once(TOKENS_PER_PASS, world.device)
    missing = begun_elsewhere(missing, run)
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
            if world.size == 1 and reference.place.exists(reference.names[number]):  # another run was faster
                continue
            if budget is not None:
                reference.write(number, _states_within(reference, number, budget, engine, world))
            else:
                reference.write(number, _states(reference, number, passes, engine, world))
        for _ in range(0 if budget is not None else max(n_passes) - n_passes[world.rank]):
            engine.read(collate_reference([reference.rows[0]]).to(world.device), "kl_states")
    world.barrier()


def begun_elsewhere(numbers: Sequence[int], run: str) -> list[int]:
    """The numbers in turn, from another one on for each run; they are of the same order for runs without a name."""
    first = stable_seed("begun", run) % len(numbers) if run and numbers else 0
    return [*numbers[first:], *numbers[:first]]


def _passes(reference: ReferenceStates, number: int, at_once: int) -> list[list[int]]:
    """A file's rows in passes of like length."""
    members = reference.chunks[number]
    batches = length_batches([len(reference.rows[member].kl_ids) for member in members], at_once)
    return [[members[place] for place in batch] for batch in batches]


def _states(
    reference: ReferenceStates, number: int, passes: Sequence[Sequence[int]], engine: TrainingEngine, world: World
) -> list[Tensor]:
    states: dict[int, Tensor] = {}
    for members in passes:
        states.update(zip(members, _read(reference, members, engine, world), strict=True))
    return [states[member] for member in reference.chunks[number]]


def _states_within(
    reference: ReferenceStates, number: int, budget: TokenBudget, engine: TrainingEngine, world: World
) -> list[Tensor]:
    """The same in passes that shrink where memory runs out."""
    states = in_batches(
        {member: len(reference.rows[member].kl_ids) for member in reference.chunks[number]},
        budget,
        lambda members: _read(reference, members, engine, world),
        lambda tokens: tokens_at_once(tokens, world.device),
    )
    fitting = []
    for member in reference.chunks[number]:
        state = states[member]
        if state is None:
            row = reference.rows[member]
            raise ModelError(
                f"tuning: row {row.row_id} of {len(row.kl_ids):,} tokens does not fit into memory alone; lower "
                "tuning.max_tokens"
            )
        fitting.append(state)
    return fitting


def _read(
    reference: ReferenceStates, members: Sequence[int], engine: TrainingEngine, world: World
) -> tuple[Tensor, ...]:
    """(n_target, H) states of some rows, by one pass."""
    rows = [reference.rows[member] for member in members]
    found = engine.read(collate_reference(rows).to(world.device), "kl_states")
    return found.to(reference.dtype).cpu().split([row.n_target for row in rows])
