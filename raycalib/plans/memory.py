"""What a worker that tunes needs of memory, a table for each shape of model."""

from dataclasses import replace
import os

import torch

from raycalib.config import PipelineConfig, is_skipped
from raycalib.evaluation.methods import LORA_PROMPT
from raycalib.lm.find_shape import find_shape
from raycalib.lm.model_shape import ModelShape
from raycalib.lm.names import find_model
from raycalib.plans.gpu_prices import gpu_price
from raycalib.plans.rows import planned_rows
from raycalib.printable import printable_line
from raycalib.tuning.memory_plan import GIB, PlannedRun
from raycalib.tuning.plan_table import plan_table


def memory_lines(config: PipelineConfig) -> list[str]:
    """A table per model, one for those of the same shape; nothing is started, loaded or written.

    Raises:
        ModelError: a model is unknown, its configuration cannot be had, or its memory is not known.
    """
    by_shape: dict[ModelShape, list[str]] = {}
    for name in config.models:
        by_shape.setdefault(find_shape(find_model(name, config.model_root)), []).append(name)
    memory, whose = _memory(config)
    n_rows = max(planned_rows(config, style).train for style in config.styles)
    lines = list[str]()
    for shape, names in by_shape.items():
        run = replace(planned_run(config, shape), rows=n_rows)
        lines += plan_table(printable_line(", ".join(names)), run, memory, whose, (8, 4))
        lines.append("")
    planning = config.planning
    lines.append(
        f"Assumed: {n_rows:,} rows of {planning.tokens_per_row} tokens, {planning.answer_tokens} of them in the "
        "true answer (--planning.rows, --planning.tokens-per-row, --planning.answer-tokens); see docs/tuning.md."
    )
    return lines


def planned_run(config: PipelineConfig, shape: ModelShape) -> PlannedRun:
    """What the memory of a run's workers depends on, for a model of this shape."""
    tuning, planning, on_gpu = config.tuning, config.planning, config.ray.on_gpu
    automatic = "bfloat16" if on_gpu else "float32"
    dtype = automatic if config.dtype == "auto" else config.dtype
    stored = dtype if tuning.reference_dtype == "model" else tuning.reference_dtype
    return PlannedRun(
        shape=shape,
        lora=tuning.lora,
        itemsize=_itemsize(dtype),
        base_bits=tuning.base_bits,
        micro_batch_size=tuning.micro_batch_size,
        tokens_per_row=planning.tokens_per_row,
        answer_tokens=planning.answer_tokens,
        rows=planning.rows,
        compares=tuning.kl_decay > 0 and LORA_PROMPT in config.methods,
        reference_itemsize=_itemsize(stored),
        workers=planned_workers(config),
        zero_stage=tuning.zero_stage,
        gradient_checkpointing=tuning.gradient_checkpointing,
        offload_optimizer=tuning.offload_optimizer,
        offload_parameters=tuning.offload_parameters,
        on_gpu=on_gpu,
    )


def planned_workers(config: PipelineConfig) -> int:
    """Workers that tune one combo; where the configuration leaves that open, by how many GPUs this machine has."""
    n_gpus = torch.cuda.device_count() if config.ray.gpus_per_worker else 0
    side_by_side = not config.tuning.zero_stage and n_combos(config) >= n_gpus
    return config.ray.train_workers or (1 if side_by_side else max(1, n_gpus))


def n_combos(config: PipelineConfig) -> int:
    """Models and styles that are not skipped, by pairs."""
    pairs = ((model, style) for model in config.models for style in config.styles)
    return sum(not is_skipped(config.skip, *pair) for pair in pairs)


def _itemsize(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def _memory(config: PipelineConfig) -> tuple[int, str]:
    """Bytes that a worker has, and what memory that is."""
    if not config.ray.on_gpu:
        host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        at_once = min(n_combos(config), int((os.cpu_count() or 1) // config.ray.cpus_per_worker))
        return host // max(planned_workers(config), at_once), "(this machine's memory, shared out)"
    if config.planning.gpu_gib is not None:
        return round(config.planning.gpu_gib * GIB), "(--planning.gpu-gib)"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return int(device.total_memory), f"({device.name})"
    assumed = gpu_price(config.planning.gpu, config.planning.prices)
    return round(assumed.memory_gib * GIB), f"(assumed, {assumed.name}; --planning.gpu or --planning.gpu-gib)"
