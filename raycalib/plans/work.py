"""Rows, tokens and GPU-hours of each stage of a run, by arithmetic over an assumed speed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raycalib.config import PipelineConfig
from raycalib.evaluation.methods import LORA_PROMPT, TUNED
from raycalib.plans.gpu_prices import GpuPrice
from raycalib.plans.rows import PlannedRows
from raycalib.tuning.compute_plan import query_tokens, reading_flops, tuning_flops
from raycalib.tuning.memory_plan import PlannedRun

OPEN_ENDED = "oe"
ANSWERS, TUNING, SCORING = "answers", "tuning", "scoring by what is tuned"
DECODING_SHARE = {"transformers": 0.15, "vllm": 0.6}
"""Assumed: of what a GPU can read of its memory in a second, how much an engine reads while it generates."""
Lengths = Sequence[tuple[PlannedRun, int]]
"""Rows of each length; a model's other values are the same."""
VLLM_ROWS = 256
"""Rows that vLLM generates for at once, where they have room."""


@dataclass(frozen=True, kw_only=True)
class StageWork:
    """What a stage of one model and style takes.

    Attributes:
        stage: its name.
        rows: that go through it; of tuning, those of all steps.
        tokens_read: of them.
        tokens_written: generated, at most.
        gpu_hours: of one GPU; 0 where the stage computes on none, None where its speed is not known.
    """

    stage: str
    rows: int
    tokens_read: int
    tokens_written: int = 0
    gpu_hours: float | None = 0.0


def combo_work(
    config: PipelineConfig, run: PlannedRun, style: str, rows: PlannedRows, price: GpuPrice | None
) -> list[StageWork]:
    """The stages of one model and style, in order.

    Args:
        config: of the run.
        run: what the model's tuning depends on.
        style: of prompts.
        rows: of that style.
        price: of the GPUs; None where models compute on CPUs, whose speed is not known.
    """
    evaluated = replace(run, tokens_per_row=max(config.planning.eval_tokens_per_row, run.answer_tokens + 1))
    lengths = [(run, rows.learned), (evaluated, rows.n_evaluated)]
    stages = list[StageWork]()
    if not config.comes_in:
        stages.append(_answers(config, lengths, style, price))
    stages.append(_reading("features", lengths, 1, price))
    tuned = [method for method in TUNED if method in config.methods]
    stages += [_tuning(config, run, rows, method, price) for method in tuned]
    n_adapters = len(tuned) + len(config.adapters)
    if n_adapters:
        scored = [(run, rows.val_calibrate), (evaluated, rows.n_evaluated)]
        stages.append(_reading(SCORING, scored, n_adapters, price))
    return stages


def _answers(config: PipelineConfig, rows: Lengths, style: str, price: GpuPrice | None) -> StageWork:
    """Reading questions, and in the open-ended style writing answers, each as long as is allowed."""
    n_rows = sum(n for _, n in rows)
    read = sum(n * prompt_tokens(run) for run, n in rows)
    written = n_rows * config.max_new_tokens if style == OPEN_ENDED else 0
    gpu_hours = None
    if config.engine.name == "openai":
        gpu_hours = 0.0
    elif price is not None:
        flops = sum(reading_flops(run, n, prompt_tokens(run)) for run, n in rows)
        writing = sum(_writing_hours(config, run, n, price) for run, n in rows) if written else 0.0
        gpu_hours = price.hours(flops) + writing
    return StageWork(stage=ANSWERS, rows=n_rows, tokens_read=read, tokens_written=written, gpu_hours=gpu_hours)


def _writing_hours(config: PipelineConfig, run: PlannedRun, n_rows: int, price: GpuPrice) -> float:
    """Each step reads all weights once, for as many rows as are generated for at once."""
    share = DECODING_SHARE[config.engine.name]
    at_once = max(1, config.max_batch_tokens // (prompt_tokens(run) + config.max_new_tokens))
    n_steps = n_rows / (VLLM_ROWS if config.engine.name == "vllm" else at_once) * config.max_new_tokens
    return n_steps * run.shape.n_parameters * run.itemsize / (price.gb_per_second * 1e9 * share) / 3600


def prompt_tokens(run: PlannedRun) -> int:
    """Of a question: what is left of a row without its answer, and without the true one."""
    return max(1, run.tokens_per_row - 2 * run.answer_tokens)


def _reading(stage: str, rows: Lengths, passes: int, price: GpuPrice | None) -> StageWork:
    """A pass forward over question, answer and query, for each of so many adapters."""
    flops = passes * sum(reading_flops(run, n, query_tokens(run)) for run, n in rows)
    return StageWork(
        stage=stage,
        rows=passes * sum(n for _, n in rows),
        tokens_read=passes * sum(n * query_tokens(run) for run, n in rows),
        gpu_hours=None if price is None else price.hours(flops),
    )


def _tuning(
    config: PipelineConfig, run: PlannedRun, rows: PlannedRows, method: str, price: GpuPrice | None
) -> StageWork:
    """Optimizer steps, their evaluations, and once the base model's states where something is compared with them."""
    tuning = config.tuning
    compares = run.compares and method == LORA_PROMPT
    of_method = replace(run, compares=compares)
    flops = tuning_flops(of_method, tuning.steps, tuning.global_batch_size, tuning.eval_every, rows.val_select).total
    n_rows = tuning.steps * tuning.global_batch_size
    if compares:
        flops += reading_flops(run, min(rows.train, n_rows), run.tokens_per_row)
    tokens = run.tokens_per_row if compares else query_tokens(run)
    return StageWork(
        stage=f"{TUNING}, {method}",
        rows=n_rows,
        tokens_read=n_rows * tokens,
        gpu_hours=None if price is None else price.hours(flops),
    )
