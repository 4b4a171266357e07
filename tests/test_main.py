"""The one command for all jobs: each is its script, nothing heavy is imported to say what there is, shells complete."""

from importlib import import_module
from pathlib import Path
import subprocess
import sys

import pytest

from raycalib.main import COMMANDS, completion, flags

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from raycalib.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_every_job_that_is_a_users_is_a_command() -> None:
    scripts = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__", "standins"}
    assert {command.module for command in COMMANDS.values()} == scripts
    for command in COMMANDS.values():
        job = import_module(f"jobs.{command.module}")
        assert callable(job.main)
        assert callable(job.command)
        assert (
            (ROOT / "jobs" / f"{command.module}.py").read_text().endswith('if __name__ == "__main__":\n    command()\n')
        )


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_what_there_is_is_said(arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.returncode == 0
    assert all(f"  {name} " in said.stdout for name in COMMANDS)


def test_what_there_is_is_said_without_torch() -> None:
    code = "import sys; from raycalib import main; print([m for m in ('torch', 'ray', 'tyro') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["answer"], "error: 'answer' is no command; allowed: pipeline, generate"),
        (["completion", "fish"], "error: completion: 'fish' is unknown; allowed: bash, zsh"),
        (["ask", "--no-such-flag"], "error: command line: "),
        (["ask"], "error: bundle: name one by --bundle"),
    ],
)
def test_what_is_none_is_one_line_and_code_2(arguments: list[str], message: str) -> None:
    said = run(*arguments)
    assert said.returncode == 2
    assert said.stderr.startswith(message)
    assert said.stderr.count("\n") == 1


def test_a_commands_help_bears_its_name() -> None:
    said = run("ask", "--help")
    assert said.returncode == 0
    assert "usage: raycalib ask" in said.stdout


def test_flags_are_those_of_the_help() -> None:
    assert {"--bundle", "--question", "--max-risk", "--in", "--ray.max-workers"} <= set(flags("ask"))


@pytest.mark.parametrize(
    ("words", "completed"),
    [("raycalib as", "ask"), ("raycalib ask --max-r", "--max-risk"), ("raycalib completion z", "zsh")],
)
def test_bash_completes(words: str, completed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raycalib.main.flags", lambda name: flags(name) if name == "ask" else [])
    typed = words.split()
    script = (
        f'{completion("bash")}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _raycalib; echo "${{COMPREPLY[@]}}"'
    )
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [completed]
