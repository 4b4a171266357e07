"""A memory plan as a table of plain text."""

from collections.abc import Sequence

from raycalib.tuning.memory_plan import GIB, MemoryPlan, PlannedRun, longest_row, memory_plan
from raycalib.tuning.plan_remedies import remedies

NAME_WIDTH = 28


def plan_table(title: str, run: PlannedRun, memory: int, whose: str, base_bits: Sequence[int] = ()) -> list[str]:
    """Lines that say what a worker takes, whether that fits, and what to do where it does not.

    Args:
        title: names of the models.
        run: what is planned.
        memory: bytes that a worker has.
        whose: what memory that is.
        base_bits: in which a base model may be kept, for the remedies.

    Raises:
        ModelError: an adapter on modules that are not of the model's layers.
    """
    plan = memory_plan(run)
    lines = [f"{title}: {_how(run)}", *_parts(run, plan)]
    fits = plan.total <= memory
    verdict = f"of {memory / GIB:.2f} GiB {whose}: {'fits' if fits else 'does not fit'}"
    lines.append(_line("one worker", plan.total, verdict))
    if fits:
        longest = longest_row(run, memory)
        lines.append(f"  rows of up to {longest:,} tokens fit, {run.micro_batch_size} a pass")
    else:
        lines += _remedy_lines(run, memory, base_bits)
    if plan.host_at_start:
        is_split = run.zero_stage == 3 and run.workers > 1
        remark = "a machine, mapped from the files" if is_split else "a worker, until its weights are in place"
        lines.append(_line("host memory, at start", plan.host_at_start, remark))
    if plan.host:
        lines.append(_line("host memory, all the time", plan.host, "a worker, offloaded"))
    if plan.disk:
        lines.append(_line("disk, a model and style", plan.disk, _disk(run)))
    return lines


def _how(run: PlannedRun) -> str:
    parts = [
        f"{run.workers} worker{'s' if run.workers > 1 else ''}",
        f"{run.micro_batch_size} x {run.tokens_per_row} tokens a pass",
        f"rank {run.lora.rank} on {', '.join(run.lora.targets)}",
    ]
    if run.gradient_checkpointing:
        parts.append("gradient checkpointing")
    if run.zero_stage:
        parts.append(f"ZeRO-{run.zero_stage}")
    offloaded = [("optimizer", run.offload_optimizer), ("parameters", run.offload_parameters)]
    parts += [f"{name} offloaded" for name, is_offloaded in offloaded if is_offloaded]
    return "; ".join(parts)


def _parts(run: PlannedRun, plan: MemoryPlan) -> list[str]:
    bits = 8 * run.itemsize if run.base_bits == 16 else run.base_bits
    where = ", in the host's memory" if run.offload_parameters else ""
    if run.zero_stage == 3:
        where = f", 1/{run.workers} a worker{where}"
    held = [_line("weights made whole", plan.gathered, "for a while")] if plan.gathered else []
    buckets = [_line("gradients on their way", plan.buckets, "between workers")] if plan.buckets else []
    return [
        _line("frozen base model", plan.weights, f"{run.shape.n_parameters:,} parameters of {bits} bits{where}"),
        *held,
        _line("adapter and AdamW", plan.adapter, f"{run.n_adapter:,} parameters of 32 bits"),
        *buckets,
        _line("kept of a pass", plan.kept, f"for the way back, of {run.tokens:,} tokens"),
        _line("at its worst moment", plan.worst_moment, "beside what is kept"),
        _line("runtime and reserve", plan.runtime + plan.reserve, "assumed"),
    ]


def _remedy_lines(run: PlannedRun, memory: int, base_bits: Sequence[int]) -> list[str]:
    found = remedies(run, memory, base_bits)
    lines = [
        f"    {_gib(plan.total)}  {'fits' if plan.total <= memory else 'does not'}: {flags}" for flags, plan in found
    ]
    if not found or found[-1].plan.total > memory:
        lines.append("    no remedy is enough: take a smaller model, or more or larger GPUs")
    return ["  to try, in this order:", *lines]


def _disk(run: PlannedRun) -> str:
    return f"the base model's states, {run.rows:,} rows of {run.answer_tokens} answer tokens"


def _line(name: str, n_bytes: int, remark: str) -> str:
    return f"  {name:<{NAME_WIDTH}}{_gib(n_bytes)}  {remark}".rstrip()


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / GIB:8.2f} GiB"
