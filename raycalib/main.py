"""One command for all jobs: ``raycalib ask …`` is ``python jobs/ask.py …``."""

from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
import io
import re
import sys
from typing import NamedTuple

BAD_INPUT = 2


class Command(NamedTuple):
    """A job.

    Attributes:
        module: in ``jobs/``.
        about: what it does, in a line.
    """

    module: str
    about: str


COMMANDS = {
    "pipeline": Command("full_pipeline", "the whole way: generate, label, tune, scale, evaluate, report"),
    "generate": Command("generate", "answers alone"),
    "label": Command("label", "labels answers right or wrong, by a rule or a judge"),
    "tune": Command("tune", "tunes by one method alone"),
    "evaluate": Command("evaluate", "evaluates what exists on question sets"),
    "sweep": Command("sweep", "tunes in many ways side by side, and chooses"),
    "report": Command("report", "one page of several runs and evaluations"),
    "ask": Command("ask", "asks a calibrated model: an answer, and how likely it is to be right"),
    "convert": Command("convert", "makes a bundle of an adapter that the paper's code saved"),
    "publish": Command("publish", "puts a bundle and its labelled answers on the hub"),
    "doctor": Command("doctor", "whether this machine or cluster is fit for a run"),
    "prompts": Command("prompts", "what a model will read"),
}
COMPLETION, SHELLS = "completion", ("bash", "zsh")
USAGE = "\n".join(
    [
        "usage: raycalib COMMAND [flags]; raycalib COMMAND --help lists a command's flags",
        "",
        *(f"  {name:<12}{command.about}" for name, command in COMMANDS.items()),
        f"  {COMPLETION:<12}what a shell completes: source <(raycalib completion bash), or zsh",
    ]
)


def main() -> None:
    """Runs a job as its script does; what is no command ends with code 2."""
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name in ("", "-h", "--help", "help"):
        print(USAGE)
    elif name == "--version":
        from importlib.metadata import version

        print(f"raycalib {version('raycalib')}")
    elif name == COMPLETION:
        print(completion(arguments[0] if arguments else "bash"))
    elif name in COMMANDS:
        run(name, arguments)
    else:
        known = ", ".join((*COMMANDS, COMPLETION))
        print(f"error: {name!r} is no command; allowed: {known}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def run(name: str, arguments: Sequence[str]) -> None:
    """The job of that name, with these arguments in the place of the command's."""
    sys.argv = [f"raycalib {name}", *arguments]
    import_module(f"raycalib.jobs.{COMMANDS[name].module}").command()


def completion(shell: str) -> str:
    """A script that completes commands and their flags.

    Raises:
        SystemExit: no such shell (code 2).
    """
    if shell not in SHELLS:
        print(f"error: completion: {shell!r} is unknown; allowed: {', '.join(SHELLS)}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    cases = "\n".join(f"    {name}) words='{' '.join(flags(name))}' ;;" for name in COMMANDS)
    first = " ".join((*COMMANDS, COMPLETION))
    before = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return f"""{before}_raycalib() {{
  local words
  case "$COMP_CWORD:${{COMP_WORDS[1]}}" in
    1:*) words='{first}' ;;
    *:{COMPLETION}) words='{" ".join(SHELLS)}' ;;
    *) case "${{COMP_WORDS[1]}}" in
{cases}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -o bashdefault -F _raycalib raycalib"""


def flags(name: str) -> list[str]:
    """The flags that a command's help lists."""
    shown = io.StringIO()
    with redirect_stdout(shown), suppress(SystemExit):
        import_module(f"raycalib.jobs.{COMMANDS[name].module}").main(["--help"])
    return list(dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z0-9._-]*[a-z0-9]", shown.getvalue())))
