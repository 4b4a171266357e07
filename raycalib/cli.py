"""Command lines of the jobs: typed, unknown flags refused, one line per error, exit code 2."""

from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
import io
import re
import sys
from typing import TypeVar

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError, RaycalibError
from raycalib.printable import printable_line
from raycalib.recipes import RECIPES, recipe

Config = TypeVar("Config")

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
        "choices-column",
        "answer-index-column",
        "context-column",
        "task-column",
        "split-column",
    )
}
"""What is asked for most of the source of questions, as jobs/prompts.py calls it."""

BAD_INPUT = 2
INTERRUPTED = 130


def pipeline_config(arguments: Sequence[str], description: str) -> PipelineConfig:
    """The recipe named by ``--recipe`` (default: demo) with the other flags laid over it.

    Raises:
        ConfigError: an unknown recipe, or a value that is not allowed.
        SystemExit: ``--help``, or a flag that does not exist (code 2).
    """
    name, rest = _take_recipe(list(arguments))
    listed = "\n".join(f"  --recipe {key}: {(build.__doc__ or '').splitlines()[0]}" for key, build in RECIPES.items())
    text = (
        f"{description}\n\nShort for --source.*, where --dataset is --source.name: {', '.join(SHORT_FLAGS)}."
        f"\n\nRecipes (default: demo), full configurations to change by flags:\n{listed}"
    )
    return _parse(PipelineConfig, [_whole_flag(argument) for argument in rest], text, recipe(name))


def simple_config(kind: type[Config], arguments: Sequence[str], description: str) -> Config:
    """A job's own configuration from its flags; see ``pipeline_config`` for the errors."""
    return _parse(kind, arguments, description, kind())


def _parse(kind: type[Config], arguments: Sequence[str], description: str, default: Config) -> Config:
    import tyro

    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(kind, default=default, args=list(arguments), description=description)
    except SystemExit as stop:
        if stop.code != BAD_INPUT:
            raise
        raise ConfigError(_one_line(complaint.getvalue())) from None


def _one_line(boxed: str) -> str:
    """What tyro says in a box, as one line."""
    lines = [re.sub(r"[\u2500-\u257f]", " ", line).strip() for line in boxed.splitlines()]
    text = " ".join(line for line in lines[1:] if line and "full helptext" not in line)
    return f"command line: {text}; --help lists all flags"


def _whole_flag(argument: str) -> str:
    """A short flag's whole name, with the value behind an equals sign."""
    flag, equals, value = argument.partition("=")
    return SHORT_FLAGS.get(flag.replace("_", "-"), flag) + equals + value


def _take_recipe(arguments: list[str]) -> tuple[str, list[str]]:
    name, rest, index = "demo", [], 0
    while index < len(arguments):
        argument = arguments[index]
        if argument == "--recipe":
            if index + 1 == len(arguments):
                raise ConfigError(f"recipe: a name is missing; allowed: {', '.join(RECIPES)}")
            name, index = arguments[index + 1], index + 1
        elif argument.startswith("--recipe="):
            name = argument.removeprefix("--recipe=")
        else:
            rest.append(argument)
        index += 1
    return name, rest


def run_job(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a job's main function; what a user can cause ends in one line on standard error.

    Names of columns and files may be in that line: it never steers a terminal.
    """
    try:
        main(sys.argv[1:])
    except RaycalibError as error:
        print(f"error: {printable_line(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)
