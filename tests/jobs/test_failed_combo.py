"""A combo that fails is a hole with its reason, the others are reported, and the same command fills it; whole commands.

What diverges is a model that says the same as the embedded one to the bit: its layers' states are scaled up by a power
of two and down again. In its gradients float32 overflows, so that only tuning fails.
"""

from collections.abc import Callable
import json
from pathlib import Path
import shutil

import pytest
import safetensors.torch
from torch import Tensor

from raycalib.lm.names import embedded_root
from tests.jobs.commands import SMALL, directories, files_below, run_job, summary

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1500)]
SCALE = 2.0**100
UNTUNED = {"zero_shot_query", "answer_likelihood", "family_rate", "probe"}
METHODS = UNTUNED | {"lora_prompt"}


def overflowing(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    scales = {"up_proj": SCALE, "down_proj": 1 / SCALE}
    return {
        name: next((tensor.float() * scale for part, scale in scales.items() if part in name), tensor.float())
        for name, tensor in tensors.items()
    }


def without_logits(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Finite weights whose logits are not."""
    return {name: tensor.float() * (1e38 if name == "model.norm.weight" else 1) for name, tensor in tensors.items()}


def put(root: Path, name: str, change: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None) -> None:
    """The embedded weights of a model, changed where that is wanted, in place of what is there."""
    shutil.rmtree(root / name, ignore_errors=True)
    shutil.copytree(embedded_root() / name, root / name)
    weights = root / name / "model.safetensors"
    if change is not None:
        changed = {key: value.contiguous() for key, value in change(safetensors.torch.load_file(weights)).items()}
        safetensors.torch.save_file(changed, weights, metadata={"format": "pt"})
        config = root / name / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}))


def flags(tmp_path: Path, *models: str) -> list[str]:
    given = [*SMALL, "--styles", "oe", "--model-root", str(tmp_path / "models"), "--out", str(tmp_path / "out")]
    return [*given, "--models", *models]


def figures_of(out: Path, model: str, split: str = "test") -> dict[str, float | None]:
    """A model's ECE by method; a reason stands where there is none."""
    rows = {key[3]: row for key, row in summary(out).items() if key[0] == model and key[2] == split}
    assert all(row["ece"]["value"] is not None or row["reason"] for row in rows.values())
    return {method: row["ece"]["value"] for method, row in rows.items()}


def with_figures(out: Path, model: str) -> set[str]:
    return {method for method, ece in figures_of(out, model).items() if ece is not None and "+" not in method}


def holes(out: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((out / "report" / "evaluations.json").read_text())["holes"]
    return found


def test_two_models_of_which_one_is_not_there_then_diverges_then_is_whole(tmp_path: Path) -> None:
    out, command = tmp_path / "out", flags(tmp_path, "llama2:7b", "mistral:7b")
    put(tmp_path / "models", "llama2-7b")
    said = run_job("full_pipeline", *command, code=3)
    assert "error: incomplete: mistral:7b oe failed (model: 'mistral:7b' has no directory" in said
    assert with_figures(out, "llama2:7b") == METHODS
    ((hole),) = holes(out)
    assert (hole["model"], hole["style"]) == ("mistral:7b", "oe")
    assert "or choose another --model-root" in hole["reason"]
    assert "has no directory" in (out / "report" / "index.html").read_text()
    first, llamas = summary(out), directories(out)
    said = run_job("report", "--run", str(out), code=3)
    assert "error: incomplete: 1 holes, the first of them mistral:7b/oe (model: 'mistral:7b' has no directory" in said

    run_job("full_pipeline", *command, "--skip", "mistral:7b/oe")
    assert (holes(out), summary(out), directories(out)) == ([], first, llamas)

    put(tmp_path / "models", "mistral-7b", overflowing)
    tuned = files_below(out / "tuned")
    said = run_job("full_pipeline", *command, code=3)
    assert "error: incomplete: mistral:7b oe lora_prompt failed (tuning: loss or gradient of step 1 is not" in said
    assert with_figures(out, "llama2:7b") == METHODS
    assert with_figures(out, "mistral:7b") == UNTUNED
    reasons = {key[3]: row["reason"] for key, row in summary(out).items() if key[0] == "mistral:7b" and row["reason"]}
    for method in ("lora_prompt", "lora_prompt+temperature"):
        assert "is not finite" in reasons[method]
        assert "lower tuning.lr or look at these rows" in reasons[method]
    assert tuned.items() <= files_below(out / "tuned").items()
    untuned = {method: ece for method, ece in figures_of(out, "mistral:7b").items() if "lora_prompt" not in method}

    put(tmp_path / "models", "mistral-7b")
    run_job("full_pipeline", *command)
    assert holes(out) == []
    assert with_figures(out, "llama2:7b") == with_figures(out, "mistral:7b") == METHODS
    assert {key: row for key, row in summary(out).items() if key[0] == "llama2:7b"} == first
    again = {method: ece for method, ece in figures_of(out, "mistral:7b").items() if "lora_prompt" not in method}
    assert again == pytest.approx(untuned, abs=1e-6)
    assert tuned.items() <= files_below(out / "tuned").items()


def test_where_nothing_is_left_one_line_says_why(tmp_path: Path) -> None:
    put(tmp_path / "models", "llama2-7b", without_logits)
    said = run_job("full_pipeline", *flags(tmp_path, "llama2:7b"), code=2)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: model: the logits of LlamaForCausalLM for a plain query are not finite")
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "report").exists()
