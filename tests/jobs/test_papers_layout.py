"""Files in the layouts of the paper's code and of its released sets come in; whole commands, as a user types them."""

import json
from pathlib import Path
import shutil
from typing import Any

from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
import pytest
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from raycalib.lm.names import embedded_root
from tests.jobs.commands import SMALL, directories, rows_of, run_job, summary
from tests.sources.given.paper_layout import answered_facts, write_labels, write_outputs, write_released
from tests.stages.given import DOUBLED, PAPERS, doubled, write_adapter

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1500)]
WEIGHTS = embedded_root() / "llama2-7b"
N_ROWS = {"train": 48, "validation": 128, "test": 24}
MODEL = ["--models", "llama2:7b", "--model-root", "embedded", "--styles", "oe"]
METHODS = ["--methods", "zero_shot_query,lora_prompt,probe"]
QUERY = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Facts with an answer and a label each, by the paper's names of splits."""
    splits = {"train": "train", "validation": "val_calibrate", "test": "test"}
    return {name: answered_facts(n, split=splits[name]) for name, n in N_ROWS.items()}


def test_labels_of_the_papers_code_are_tuned_and_evaluated_on_and_nothing_is_generated(
    rows: Rows, tmp_path: Path
) -> None:
    place, out = write_labels(tmp_path / "theirs", rows), tmp_path / "out"
    flags = [*SMALL, *MODEL, *METHODS, "--out", str(out)]
    said = run_job("full_pipeline", *flags, "--labelled", f"offline:{place}")
    assert not (out / "answers").exists()
    assert not (out / "questions").exists()
    assert "answers llama2-7b" not in said
    assert {row["n"] for key, row in summary(out).items() if row["ece"]["value"] is not None} == {N_ROWS["test"]}
    assert {key[3] for key, row in summary(out).items() if row["ece"]["value"] is not None} >= {
        "zero_shot_query", "lora_prompt", "lora_prompt+temperature", "probe",
    }  # fmt: skip

    again = run_job("full_pipeline", *flags, "--labelled", f"offline:{place}")
    assert "Nothing to do" in again


def test_outputs_of_the_papers_code_are_labelled_and_go_on(rows: Rows, tmp_path: Path) -> None:
    place, out = write_outputs(tmp_path / "theirs", rows), tmp_path / "out"
    flags = [*SMALL, *MODEL, "--methods", "zero_shot_query", "--out", str(out)]
    said = run_job("full_pipeline", *flags, "--answers", f"offline:{place}")
    assert "answers llama2-7b" not in said, "nothing is generated"
    (test,) = (path for path in (out / "labelled").iterdir() if "-test-" in path.name)
    assert {row["context"]: row["query_label"] for row in rows_of(test)} == {
        row["context"]: row["query_label"] for row in rows["test"]
    }
    assert {row["n"] for key, row in summary(out).items() if key[3] == "zero_shot_query"} == {N_ROWS["test"]}


def test_a_released_set_comes_in_from_a_copy_and_is_tuned_on(rows: Rows, tmp_path: Path) -> None:
    out, data_root = tmp_path / "out", tmp_path / "data"
    write_released(data_root, "llama2:7b", "oe", {name: rows[name] for name in ("train", "validation")})
    given = ["--labelled", "paper:llama2:7b/oe", "--data-root", str(data_root)]
    own = tmp_path / "capitals.jsonl"
    own.write_text("".join(json.dumps({"question": f"Capital of {x}?", "answer": x}) + "\n" for x in ("Peru", "Cuba")))
    flags = [*SMALL, *MODEL, "--methods", "zero_shot_query,lora_prompt", "--out", str(out), "--eval", f"file:{own}"]
    run_job("full_pipeline", *flags, *given)
    assert {name for name in directories(out) if name.startswith("answers")} == {
        name for name in directories(out) if name.startswith("answers/llama2-7b-capitals-oe-")
    }
    ((_, _, split, _),) = {(*key[:3], "") for key in summary(out)}
    assert split == "capitals"
    assert summary(out)["llama2:7b", "oe", "capitals", "lora_prompt"]["n"] == 2


def test_a_csv_is_tuned_on_without_a_question_source(rows: Rows, tmp_path: Path) -> None:
    write_labels(tmp_path / "theirs", rows, ranks=1)
    shutil.copy(tmp_path / "theirs" / "labels" / "validation" / "0.csv", tmp_path / "labelled.csv")
    out = tmp_path / "out"
    run_job("tune", *SMALL, *MODEL, "--labelled", str(tmp_path / "labelled.csv"), "--out", str(out))
    assert not (out / "questions").exists()
    assert not (out / "answers").exists()
    assert len(list((out / "tuned").glob("llama2-7b-oe-*/adapter/adapter_model.safetensors"))) == 1


@torch.no_grad()
def plain_p_correct(adapter: Path, rows: list[dict[str, Any]]) -> dict[str, float]:
    """By context, softmax over the tokens of "i" and "ii" behind the query: transformers and PEFT, a row at a time."""
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    written = json.loads((adapter / "adapter_config.json").read_text())
    names = {"r": written["r"], "lora_alpha": written["lora_alpha"], "target_modules": written["target_modules"]}
    base = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **names))
    tensors = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace(DOUBLED, "base_model.model.", 1): tensor for name, tensor in tensors.items()}
    assert not set_peft_model_state_dict(model, renamed).unexpected_keys
    found = {}
    for row in rows:
        text = f"{row['context']}{row['target_prompt']} {row['output']}".strip() + QUERY
        ids = tokenizer(text)["input_ids"]
        no, yes = (tokenizer(f"{text} {label}")["input_ids"][len(ids)] for label in ("i", "ii"))
        logits = model.eval()(input_ids=torch.tensor([ids])).logits[0, -1]
        found[row["context"]] = logits[[no, yes]].softmax(0)[1].item()
    return found


def test_a_released_adapter_evaluated_on_a_labelled_set_says_what_plain_peft_says(rows: Rows, tmp_path: Path) -> None:
    place, out = write_labels(tmp_path / "theirs", rows), tmp_path / "out"
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32)
    adapter = write_adapter(tmp_path / "ct-oe", model, 5, doubled, **PAPERS)
    assert json.loads((adapter / "adapter_config.json").read_text())["peft_type"] == "CALIBRATED_LORA"
    flags = [*MODEL, "--labelled", f"offline:{place}", "--adapter", str(adapter), "--dtype", "float32"]
    run_job("evaluate", *flags, "--methods", "lora_prompt,zero_shot_query", "--out", str(out))
    assert not (out / "answers").exists()
    assert not (out / "questions").exists()
    assert not (out / "tuned").exists()

    (predictions,) = (out / "predictions").iterdir()
    (labelled,) = (path for path in (out / "labelled").iterdir() if "-test-" in path.name)
    contexts = {row["row_id"]: row["context"] for row in rows_of(labelled)}
    said: dict[str, dict[str, float]] = {}
    for row in rows_of(predictions):
        said.setdefault(row["method"], {})[contexts[row["row_id"]]] = row["p_correct"]
    expected = plain_p_correct(adapter, rows["test"])
    assert len(expected) == N_ROWS["test"]
    assert said["lora_prompt"] == pytest.approx(expected, abs=1e-5)
    assert said["zero_shot_query"] != pytest.approx(expected, abs=1e-2), "else the adapter would say nothing"
    assert set(said) == {name + end for name in ("lora_prompt", "zero_shot_query") for end in ("", "+temperature")}
