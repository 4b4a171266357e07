"""The commands that the documents show, and the configurations that they give."""

from collections.abc import Sequence
from pathlib import Path
import re
import shlex

import pytest

from jobs.ask import SHORT, AskConfig
from jobs.convert import ConvertConfig
from jobs.label import LabelConfig
from jobs.publish import PublishConfig
from raycalib.cli import pipeline_config, simple_config
from raycalib.config import PipelineConfig
from raycalib.recipes import recipe

ROOT = Path(__file__).parents[1]
PIPELINE_JOBS = ("full_pipeline", "generate", "tune", "evaluate")
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(document: str, jobs: Sequence[str] = PIPELINE_JOBS) -> list[list[str]]:
    """The commands in a document's blocks that run one of these jobs: the job's name, then the arguments."""
    found = []
    for block in BLOCK.findall((ROOT / document).read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.search(rf"python jobs/({'|'.join(jobs)})\.py(.*)", line):
                found.append([match[1], *shlex.split(match[2], comments=True)])
    return found


DOCUMENTS = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
COMMANDS = {f"{document}: {' '.join(found)}": found for document in DOCUMENTS for found in commands(document)}


OTHERS = {
    "label": (LabelConfig, {}),
    "ask": (AskConfig, SHORT),
    "convert": (ConvertConfig, {}),
    "publish": (PublishConfig, {}),
}
OF_OTHERS = {
    f"{document}: {' '.join(found)}": found for document in DOCUMENTS for found in commands(document, tuple(OTHERS))
}


@pytest.mark.parametrize("shown", [name for name, command in OF_OTHERS.items() if "--help" not in command])
def test_every_other_command_that_is_shown_gives_a_configuration(shown: str) -> None:
    job, *arguments = OF_OTHERS[shown]
    kind, short = OTHERS[job]
    assert isinstance(simple_config(kind, arguments, "A job.", short), kind)


def given(command: list[str]) -> PipelineConfig:
    """The configuration that a command gives; ``--method`` is the job's own."""
    arguments = list(command[1:])
    if "--method" in arguments:
        del arguments[(place := arguments.index("--method")) : place + 2]
    return pipeline_config(arguments, "A job.")


@pytest.mark.parametrize("shown", [name for name, command in COMMANDS.items() if "--help" not in command])
def test_every_command_that_is_shown_gives_a_configuration(shown: str) -> None:
    """With the demo's settings of tuning only where the embedded models are tuned."""
    config = given(COMMANDS[shown])
    if config.model_root == "embedded":
        assert config.tuning == recipe("demo").tuning
    else:
        assert (config.tuning.lr, config.tuning.steps) == (1e-4, 5000)
        lora = config.tuning.lora
        assert (lora.rank, lora.alpha, lora.dropout, lora.targets) == (8, 32.0, 0.1, ("q_proj", "v_proj"))


def test_the_readme_shows_a_model_and_questions_of_ones_own() -> None:
    (config,) = [given(found) for found in commands("README.md") if "Qwen/Qwen3-8B" in found]
    assert (config.models, config.model_root) == (("Qwen/Qwen3-8B",), None)
    assert config.source.name == "file:questions.jsonl"
    assert (config.ray.gpus_per_worker, config.ray.train_workers) == (1, 0)  # as many trainers as GPUs
    assert config.max_new_tokens == recipe("own").max_new_tokens
    assert (config.tuning.eval_every, config.tuning.checkpoint_every, config.seed) == (500, 500, 137)


def test_the_readme_shows_the_demo_and_the_paper() -> None:
    shown = [given(found) for found in commands("README.md") if "--help" not in found]
    assert {config.model_root for config in shown} == {None, "embedded"}
    assert [len(config.models) for config in shown if config.source.name == recipe("paper").source.name] == [6]
