"""What the judge of a run would take, by the lengths that are assumed."""

from itertools import repeat

from raycalib.config import PipelineConfig
from raycalib.judging.estimate import BYTES_PER_TOKEN, estimate
from raycalib.judging.prices import find_price
from raycalib.judging.prompt_versions import judge_prompt
from raycalib.plans.work import prompt_tokens
from raycalib.tuning.memory_plan import PlannedRun


def judge_line(config: PipelineConfig, run: PlannedRun, n_rows: int) -> str:
    """A line for the terminal.

    Args:
        config: of the run.
        run: of any of its models, for the lengths of rows.
        n_rows: open-ended answers of all models; letters of options are compared and need no judge.

    Raises:
        ConfigError: the table of the judge's prices cannot be used.
    """
    if config.labelled:
        return "labels: they are there"
    if config.grader != "judge":
        return f"labels: by comparing strings ({config.grader}), seconds of a CPU, nothing to pay"
    answer = _text(run.answer_tokens)
    messages = judge_prompt(config.judge.prompt).messages(_text(prompt_tokens(run)), answer, answer)
    price = find_price(config.judge.model, config.judge.price_table) if config.judge.engine == "openai" else None
    workers = max(1, config.ray.max_workers)
    found = estimate(n_rows, repeat((messages, False), n_rows), config.judge, price, workers)
    return f"labels: {found.line(config.judge.model)}"


def _text(n_tokens: int) -> str:
    return "x" * round(BYTES_PER_TOKEN * n_tokens)
