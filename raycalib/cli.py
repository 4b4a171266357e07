"""Command lines of the jobs: typed, unknown flags refused, one line per error, exit code 2."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import fields, replace
import io
import os
import re
import sys
import traceback
from types import TracebackType
from typing import TypeVar

from raycalib.addresses import secret_problems
from raycalib.config import PipelineConfig
from raycalib.console import CONSOLE
from raycalib.errors import ConfigError, IncompleteError, RaycalibError
from raycalib.list_flags import LIST_FLAGS, PART_FLAGS, gather_lists
from raycalib.printable import printable_line, printable_lines
from raycalib.recipes import RECIPES, recipe, recipe_for
from raycalib.run_logs import RUN_LOGS
from raycalib.secrets import hide_message

Config = TypeVar("Config")
Run = TypeVar("Run", bound=PipelineConfig)

SHORT_FLAGS = {"--dataset": "--source.name"} | {
    f"--{name}": f"--source.{name}"
    for name in (
        "data-root",
        "k-shot",
        "eval-k-shot",
        "paper-exact",
        "max-bad-rows",
        "question-column",
        "answer-column",
        "aliases-column",
        "choices-column",
        "answer-index-column",
        "context-column",
        "task-column",
        "split-column",
    )
}
"""What is asked for most of the source of questions, as jobs/prompts.py calls it."""

JUDGE_FLAGS = {f"--{name}": f"--judge.{name}" for name in ("max-cost-usd", "price-table")} | {
    f"--judge-{name}": f"--judge.{name}"
    for name in (
        "base-url",
        "model",
        "engine",
        "prompt",
        "requests-per-minute",
        "tokens-per-minute",
        "concurrency",
        "timeout-s",
        "deadline-s",
        "quality",
        "cache",
    )
}
"""What is asked for most of the judge."""

DEVICE_FLAG = {"--device": "--ray.device"}
WHOLE_FLAGS = SHORT_FLAGS | JUDGE_FLAGS | DEVICE_FLAG | {"--engine": "--engine.name"}
CSV, CSV_WHOLE = "--csv", ["--export", "csv"]
WORKERS = "--workers"
NO_RECIPE = "as the models are"

BAD_INPUT = 2
INCOMPLETE = 3
INTERRUPTED = 130


FOLLOW_STEPS = {"--tuning.eval-every": "eval_every", "--tuning.checkpoint-every": "checkpoint_every"}


def pipeline_config(
    arguments: Sequence[str],
    description: str,
    recorded: PipelineConfig | None = None,
    *,
    kind: type[Run] = PipelineConfig,  # type: ignore[assignment]  # of a call that gives none
    more_short: Mapping[str, str] = {},
) -> Run:
    """The recipe named by ``--recipe`` with the other flags laid over it.

    Where none is named it is ``demo`` for the embedded models, and ``own``, which is said, for any other. How often a
    run evaluates and writes checkpoints follows its steps, in the recipe's proportion, where it is not given, unless
    its schedule is ``wsd``.

    Args:
        arguments: of the command line.
        description: of the job.
        recorded: takes the recipe's place where none is named.
        kind: of configuration; one that has more than a run's begins with its own defaults there.
        more_short: whole names of flags of that kind.

    Raises:
        ConfigError: an unknown recipe, or a value that is not allowed.
        SystemExit: ``--help``, or a flag that does not exist (code 2).
    """
    name, rest = take_flag(arguments, "--recipe", NO_RECIPE, RECIPES)
    whole = gather_lists(
        [_whole_flag(argument, {**WHOLE_FLAGS, **more_short}) for argument in _with_workers(rest)], LIST_FLAGS
    )
    is_named = name != NO_RECIPE
    if not is_named:
        roots = values_of(whole, "--model-root")
        # What is written as None is the hub.
        name = "own" if "None" in roots else recipe_for(values_of(whole, "--models"), roots[-1] if roots else None)
    listed = "\n".join(f"  --recipe {key}: {(build.__doc__ or '').splitlines()[0]}" for key, build in RECIPES.items())
    short = ", ".join(SHORT_FLAGS)
    judge = ", ".join(JUDGE_FLAGS)
    text = (
        f"{description}\n\nShort for --source.*, where --dataset is --source.name: {short}.\n"
        f"Short for --judge.*: {judge}.\n"
        "Short: --engine for --engine.name; --device for --ray.device; --workers 1:8 for --ray.min-workers 1\n"
        "--ray.max-workers 8; --csv for --export csv; --eval, --adapter, --probe, --temperature, --model, --style for\n"
        "the lists --evaluation-sets, --adapters, --probes, --temperatures, --models, --styles: each may be given\n"
        "again and again.\n\n"
        "Recipes, full configurations to change by flags; where none is named, demo, or own if --models or\n"
        f"--model-root name other models than the embedded ones (this help shows the defaults of {name}):\n{listed}"
    )
    chosen = recorded if recorded is not None and not is_named else recipe(name)
    config = _parse(kind, whole, text, kind(**{each.name: getattr(chosen, each.name) for each in fields(chosen)}))
    if not is_named and name == "own" and recorded is None:
        print(f"recipe own, the paper's settings of tuning ({config.tuning.steps:,} steps): --recipe names another")
    return _following_steps(config, chosen, whole)


def refuse_estimate(config: PipelineConfig) -> None:
    """Raises ConfigError where only an estimate is asked of a job that makes none."""
    if config.estimate:
        raise ConfigError(
            "estimate: this would start a run; only jobs/full_pipeline.py and jobs/label.py say what a judge takes, "
            "elsewhere leave --estimate out"
        )


def _following_steps(config: Run, chosen: PipelineConfig, arguments: Sequence[str]) -> Run:
    """The configuration with evaluations and checkpoints, where they are not given, as often as the recipe has them."""
    steps = config.tuning.steps
    if config.tuning.schedule == "wsd":  # runs of all lengths share their beginning, evaluations among it
        return config
    followed = {
        name: max(1, round(getattr(chosen.tuning, name) * steps / chosen.tuning.steps))
        for flag, name in FOLLOW_STEPS.items()
        if not values_of(arguments, flag)
    }
    return replace(config, tuning=replace(config.tuning, **followed))


def values_of(arguments: Sequence[str], flag: str) -> list[str]:
    """All values of a flag, in order: behind an equals sign, or up to the next flag."""
    values, is_open = list[str](), False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            is_open = name.replace("_", "-") == flag
            values += [value] if is_open and equals else []
        elif is_open:
            values.append(argument)
    return values


def simple_config(
    kind: type[Config],
    arguments: Sequence[str],
    description: str,
    more_short: Mapping[str, str] = {},
) -> Config:
    """A job's own configuration from its flags, with short ones of its own; see ``pipeline_config`` for the errors."""
    written = [text for argument in arguments for text in (CSV_WHOLE if argument == CSV else [argument])]
    short = {**JUDGE_FLAGS, **DEVICE_FLAG, **more_short}
    whole = gather_lists([_whole_flag(argument, short) for argument in written], PART_FLAGS)
    return _parse(kind, whole, description, kind())


def _parse(kind: type[Config], arguments: Sequence[str], description: str, default: Config) -> Config:
    import tyro

    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            config = tyro.cli(kind, default=default, args=list(arguments), description=description)
    except SystemExit as stop:
        if stop.code != BAD_INPUT:
            raise
        raise ConfigError(_one_line(complaint.getvalue())) from None
    if problems := secret_problems(config):
        raise ConfigError("; ".join(problems))
    return config


def _one_line(boxed: str) -> str:
    """What tyro says in a box, as one line."""
    lines = [re.sub(r"[\u2500-\u257f]", " ", line).strip() for line in boxed.splitlines()]
    text = " ".join(line for line in lines[1:] if line and "full helptext" not in line)
    return f"command line: {text}; --help lists all flags"


def _whole_flag(argument: str, short: Mapping[str, str]) -> str:
    """A short flag's whole name, with the value behind an equals sign."""
    flag, equals, value = argument.partition("=")
    return short.get(flag.replace("_", "-"), flag) + equals + value


def _with_workers(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--workers 1:8`` written out as the bounds of the pools."""
    written, values = list[str](), iter(arguments)
    for argument in values:
        flag, equals, value = argument.partition("=")
        if argument == CSV:
            written += CSV_WHOLE
        elif flag == WORKERS:
            smallest, largest = _bounds(value if equals else next(values, ""))
            written += ["--ray.min-workers", str(smallest), "--ray.max-workers", str(largest)]
        else:
            written.append(argument)
    return written


def _bounds(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    smallest, largest = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= smallest <= largest:
        raise ConfigError(
            f"workers: {text!r} is not allowed; MIN:MAX such as 1:8, with MIN at least 1 and MAX at least MIN, or one "
            "number for both"
        )
    return smallest, largest


def take_flag(arguments: Sequence[str], flag: str, default: str, allowed: Collection[str]) -> tuple[str, list[str]]:
    """A flag's value, the last where it is given more than once, and the arguments without it.

    Raises:
        ConfigError: the value is missing, or is not allowed.
    """
    value, rest, index, name = default, list[str](), 0, flag.lstrip("-")
    while index < len(arguments):
        argument = arguments[index]
        if argument == flag:
            if index + 1 == len(arguments):
                raise ConfigError(f"{name}: a name is missing; allowed: {', '.join(allowed)}")
            value, index = arguments[index + 1], index + 1
        elif argument.startswith(f"{flag}="):
            value = argument.removeprefix(f"{flag}=")
        else:
            rest.append(argument)
        index += 1
    if value != default and value not in allowed:
        raise ConfigError(f"{name}: {value!r} is unknown; allowed: {', '.join(allowed)}")
    return value, rest


def run_job(main: Callable[[Sequence[str]], None], *, quiet: bool = False) -> None:
    """Runs a job's main function; what a user can cause ends in one line on standard error.

    Names of columns and files may be in that line: it never steers a terminal. No more does the traceback of a fault of
    our own, in whose message may be what a server said.

    Args:
        main: what the job does.
        quiet: keeps what libraries write to standard error meanwhile in the run's logs.
    """
    sys.excepthook = _print_failure
    try:
        with RUN_LOGS.aside() if quiet else nullcontext():
            try:
                main(sys.argv[1:])
            finally:
                CONSOLE.leave()
                sys.stdout.flush()  # of --help too, whose reader may be gone
    except RaycalibError as error:
        print(f"error: {printable_line(hide_message(' '.join(str(error).split())))}", file=sys.stderr)
        sys.exit(INCOMPLETE if isinstance(error, IncompleteError) else BAD_INPUT)
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _print_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(printable_lines(hide_message(text)))
