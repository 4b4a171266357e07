"""What to try where tuning does not fit into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from raycalib.tuning.memory_plan import MemoryPlan, PlannedRun, memory_plan

MOST_WORKERS = 8
"""Up to so many are thought of where ZeRO-3 is proposed: the GPUs of one machine."""


class Remedy(NamedTuple):
    """A change that takes less memory.

    Attributes:
        flags: of the command line, all that it needs.
        plan: with them.
    """

    flags: str
    plan: MemoryPlan


def remedies(run: PlannedRun, memory: int, base_bits: Sequence[int] = ()) -> list[Remedy]:
    """What to try, the least costly in time first, up to the first that fits; each stands on those before it.

    Fewer bits and several workers stand beside each other: quantized weights are not split.

    Args:
        run: that does not fit.
        memory: bytes of a worker.
        base_bits: in which a base model may be kept, most first.
    """
    found = []
    for flags, changed in _changes(run, base_bits):
        found.append(Remedy(" ".join(flags), memory_plan(changed)))
        if found[-1].plan.total <= memory:
            break
    return found


def _changes(run: PlannedRun, base_bits: Sequence[int]) -> Iterator[tuple[list[str], PlannedRun]]:
    flags = list[str]()
    rows = run.micro_batch_size
    while rows > 1:
        rows //= 2
        run = replace(run, micro_batch_size=rows)
        flags = [f"--tuning.micro-batch-size {rows}"]
        yield flags, run
    if not run.gradient_checkpointing:
        run = replace(run, gradient_checkpointing=True)
        flags = [*flags, "--tuning.gradient-checkpointing"]
        yield flags, run
    if not run.on_gpu:
        return
    if run.zero_stage < 3:
        for bits in base_bits:
            if bits < run.base_bits:
                yield [*flags, f"--tuning.base-bits {bits}"], replace(run, base_bits=bits)
    yield from _split_over_workers(run, flags)


def _split_over_workers(run: PlannedRun, flags: list[str]) -> Iterator[tuple[list[str], PlannedRun]]:
    counts = [max(2, run.workers)]
    while 2 * counts[-1] <= MOST_WORKERS:
        counts.append(2 * counts[-1])
    for workers in counts:
        if run.zero_stage < 3 or workers > run.workers:
            split = replace(run, base_bits=16, zero_stage=3, workers=workers)
            yield [*flags, "--tuning.zero-stage 3", f"--ray.train-workers {workers}"], split
    if not run.offload_parameters:
        split = replace(run, base_bits=16, zero_stage=3, workers=counts[0], offload_parameters=True)
        added = ["--tuning.zero-stage 3", f"--ray.train-workers {counts[0]}", "--tuning.offload-parameters"]
        yield [*flags, *added], split
