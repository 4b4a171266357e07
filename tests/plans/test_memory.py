"""``--plan`` from the command line: what it prints, that it starts and writes nothing, and docs/tuning.md."""

from collections.abc import Callable
from dataclasses import replace
import json
import os
from pathlib import Path
import re
import runpy
import subprocess
import sys
from typing import NamedTuple

import pytest
import torch

from raycalib.cli import pipeline_config
from raycalib.config import PipelineConfig
from raycalib.lm.find_shape import find_shape
from raycalib.lm.names import find_model
from raycalib.plans.memory import planned_run
from raycalib.plans.run_plan import plan_lines
from raycalib.recipes import recipe
from raycalib.tuning.memory_plan import GIB, base_bytes, memory_plan

SHAPE = find_shape(find_model("llama2:7b"))
ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "tuning.md"
BLOCK = re.compile(
    r"```\n\$ python jobs/full_pipeline.py --recipe paper --plan (?P<flags>(?:.*\\\n)*.*)\n(?P<table>(?:.+\n)+)```\n"
)
REPORTS_RAY = (
    "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    "print('ray' in sys.modules)"
)


def parsed(*flags: str) -> PipelineConfig:
    return pipeline_config(["--recipe", "paper", "--plan", *flags], "A job.")


def run_job(place: Path, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """A job in an empty directory, without a network or a cache of models."""
    cache = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(place / "cache"), "HF_HUB_CACHE": str(place / "cache" / "hub")}
    command = [sys.executable, *(["-c", code] if code else []), *arguments]
    (place / "here").mkdir()
    environment = os.environ | cache | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=place / "here", env=environment, timeout=120
    )


def test_the_papers_models_are_planned_without_ray_network_or_a_trace(tmp_path: Path) -> None:
    job = str(ROOT / "jobs" / "full_pipeline.py")
    done = run_job(tmp_path, job, "--recipe", "paper", "--plan", "--planning.gpu-gib", "79", code=REPORTS_RAY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\n".join([*plan_lines(parsed("--planning.gpu-gib", "79")), "False", ""])
    titles = [line for line in done.stdout.splitlines() if "tokens a pass" in line]
    names = ["llama2:7b, llama2:7b-chat", "llama2:13b, llama2:13b-chat", "mistral:7b, mistral:7b-instruct"]
    assert [title.rpartition(": ")[0] for title in titles] == names
    assert [path.name for path in tmp_path.rglob("*") if "cache" not in path.parts] == ["here"]


def test_a_model_that_cannot_be_reached_is_named_in_one_line(tmp_path: Path) -> None:
    done = run_job(tmp_path, str(ROOT / "jobs" / "full_pipeline.py"), "--plan", "--models", "org/name")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stdout == "recipe own, the paper's settings of tuning (5,000 steps): --recipe names another\n"
    assert "'org/name' is neither on the hub nor in the cache" in done.stderr
    assert "name a directory with its config.json" in done.stderr


class Ended(NamedTuple):
    """How a job in this process ended."""

    code: object
    out: str
    err: str


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a job that is expected to end with an exit code."""

    def run(job: str, *flags: str) -> Ended:
        monkeypatch.setattr(sys, "argv", [job, *flags])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "jobs" / job), run_name="__main__")
        return Ended(stop.value.code, *capsys.readouterr())

    return run


BAD_INPUTS = {
    "unknown model": (["--models", "llama9:7b"], ("model: 'llama9:7b'", "llama2:7b")),
    "unknown target": (["--tuning.lora.targets", "c_attn"], ("lora.targets: c_attn", "q_proj")),
    "no rows": (["--planning.rows", "0"], ("planning.rows: 0", "at least 1")),
    "unknown GPU": (["--planning.gpu", "K80"], ("planning.gpu: 'K80' is not in", "H100")),
    "unknown set": (["--eval", "no-such"], ("eval: 'no-such' is unknown", "mmlu")),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_ends_in_one_line_and_code_two(case: str, end: Callable[..., Ended]) -> None:
    flags, named = BAD_INPUTS[case]
    ended = end("full_pipeline.py", "--recipe", "paper", "--plan", *flags)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("error: ")
    for part in named:
        assert part in ended.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json of"),
        ("[]", "holds no JSON object"),
        (json.dumps({"model_type": "gpt2"}), "is of the type 'gpt2', whose memory is not known"),
        (json.dumps({"model_type": "llama"}), "has no usable hidden_size, intermediate_size"),
    ],
)
def test_a_directory_whose_configuration_is_of_no_use(
    tmp_path: Path, content: str, message: str, end: Callable[..., Ended]
) -> None:
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "model.safetensors").write_bytes(b"")
    ended = end("full_pipeline.py", "--recipe", "own", "--plan", "--models", str(tmp_path))
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert message in ended.err


@pytest.mark.parametrize("job", ["generate.py", "tune.py"])
def test_other_jobs_start_nothing_either(job: str, tmp_path: Path, end: Callable[..., Ended]) -> None:
    ended = end(job, "--plan", "--out", str(tmp_path / "run"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: plan: this would start a run; only jobs/full_pipeline.py plans")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("job", ["generate.py", "tune.py"])
def test_other_jobs_do_not_spend_where_an_estimate_is_asked_for(
    job: str, tmp_path: Path, end: Callable[..., Ended]
) -> None:
    ended = end(job, "--grader", "judge", "--judge-model", "gpt-4o-mini", "--estimate", "--out", str(tmp_path / "run"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: estimate: this would start a run; only jobs/full_pipeline.py and jobs/label.py")
    assert list(tmp_path.iterdir()) == []


def test_a_name_does_not_steer_the_terminal(tmp_path: Path) -> None:
    model = tmp_path / "a\x1b[2Jb"
    model.mkdir()
    (model / "config.json").write_bytes(Path(ROOT, "raycalib/lm/standins/weights/llama2-7b/config.json").read_bytes())
    (model / "model.safetensors").write_bytes(b"")
    assert "a\\x1b[2Jb: " in "".join(plan_lines(parsed("--models", str(model))))


def test_the_demo_is_planned_for_the_machines_memory() -> None:
    lines = plan_lines(recipe("demo"))
    first = "llama2:7b: 1 worker; 16 x 300 tokens a pass; rank 16 on q_proj, k_proj"
    assert any(line.startswith(first) for line in lines)
    assert any("(this machine's memory, shared out): fits" in line for line in lines)
    assert any("1,267,072 parameters of 32 bits" in line for line in lines)


@pytest.mark.parametrize(
    ("flags", "itemsize", "stored"),
    [
        ([], 2, 2),
        (["--dtype", "float32"], 4, 4),
        (["--dtype", "float32", "--tuning.reference-dtype", "bfloat16"], 4, 2),
        (["--tuning.reference-dtype", "float32"], 2, 4),
        (["--ray.gpus-per-worker", "0"], 4, 4),
    ],
)
def test_precision_is_that_of_the_run(flags: list[str], itemsize: int, stored: int) -> None:
    run = planned_run(parsed(*flags), SHAPE)
    assert base_bytes(run) == itemsize * SHAPE.n_parameters
    assert memory_plan(run).disk == 20_000 * 12 * 4096 * stored


def test_the_settings_of_tuning_reach_the_plan() -> None:
    flags = ["--tuning.zero-stage", "3", "--ray.train-workers", "8", "--tuning.offload-parameters", "--tuning.kl-decay"]
    run = planned_run(parsed(*flags, "0", "--tuning.offload-optimizer", "--tuning.micro-batch-size", "1"), SHAPE)
    assert (run.zero_stage, run.workers, run.micro_batch_size) == (3, 8, 1)
    assert (run.offload_parameters, run.offload_optimizer, run.compares, run.on_gpu) == (True, True, False, True)
    assert planned_run(parsed("--methods", "lora_prompt", "lora"), SHAPE).compares
    assert not planned_run(parsed("--methods", "lora"), SHAPE).compares  # a classifier in place of the query


def test_the_gpu_that_torch_sees_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        name = "A card"
        total_memory = 48 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Card())
    assert any("of 48.00 GiB (A card): fits" in line for line in plan_lines(parsed("--models", "llama2:7b")))
    stated = plan_lines(parsed("--models", "llama2:7b", "--planning.gpu-gib", "20"))
    assert any("of 20.00 GiB (--planning.gpu-gib): does not fit" in line for line in stated)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert any(
        "of 79.00 GiB (assumed, H100; --planning.gpu or --planning.gpu-gib): fits" in line
        for line in plan_lines(parsed())
    )


def test_the_guides_figures_are_those_of_the_plan() -> None:
    blocks = list(BLOCK.finditer(GUIDE.read_text("utf-8")))
    assert len(blocks) == 3
    for block in blocks:
        lines = plan_lines(parsed(*block["flags"].replace("\\\n", "").split()))
        assert block["table"] in "".join(f"{line}\n" for line in lines)


def test_the_guides_words_hold_the_same_figures() -> None:
    text = GUIDE.read_text("utf-8")
    plain = planned_run(parsed("--ray.train-workers", "1"), SHAPE)
    kept = memory_plan(plain).kept
    checkpointed = memory_plan(replace(plain, gradient_checkpointing=True)).kept
    without_masks = memory_plan(replace(plain, lora=replace(plain.lora, dropout=0.0))).kept
    assert f"{kept / GIB:.2f} GiB become {checkpointed / GIB:.2f}" in text
    assert f"{1 - without_masks / kept:.0%}".replace("%", " % less is kept in the first case") in text
    large = find_shape(find_model("meta-llama/Llama-2-70b-hf"))
    split = memory_plan(replace(plain, shape=large, workers=8, zero_stage=3))
    assert f"{base_bytes(replace(plain, shape=large)) / GIB:.0f} GiB of weights fit on no card" in text
    assert f"four rows would keep {split.kept / GIB:.0f} GiB" in text
