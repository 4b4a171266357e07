"""The rows that are tuned on, and what became of the others."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import DataError, ModelError
from raycalib.lm.names import ModelSource
from raycalib.sources.parts import PAPER_QUERY_HEADER, parse_query_header
from raycalib.stages.output import StageOutput, finished
from raycalib.stages.tuned.tune_job import TuneJob, tune_job
from raycalib.stages.workers import base_models, train_loop, tuning
from raycalib.stages.workers.tuning_rows import check_classes, count_lines, tuning_data
from raycalib.storage import Location, Manifest, write_shard
from raycalib.tuning.settings import TuningMethod, TuningSettings
from raycalib.tuning.world import World

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("row_id", "split", "style", "context", "target", "target_prompt", "answer")),
        ("query_label", pa.int8()),
        ("prompt", pa.string()),
    ]
)
SHORT = "Question: What is the capital of France?"
SHOTS = "Question: Up?\nAnswer: down\n\n"
WINDOW = 60


def row(split: str, label: int | None = 1, style: str = "oe", **texts: str) -> dict[str, Any]:
    base = {"context": SHORT, "target": "Paris", "target_prompt": "\nAnswer:", "answer": "Rome", "prompt": SHOTS}
    return {"row_id": "r", "split": split, "style": style, "query_label": label} | base | texts


def job_of(place: Path, rows: list[dict[str, Any]], settings: TuningSettings | None = None) -> TuneJob:
    labelled = Location(str(place / "labelled"))
    names = tuple(write_shard(labelled, index, [values], SCHEMA) for index, values in enumerate(rows))
    manifest = Manifest(stage="labelled", key="k", config={}, shards=names, counts={})
    output = StageOutput(place=labelled, manifest=manifest, was_done=False)
    model = ModelSource(name="tiny", path=str(place), is_local=True)
    return tune_job(model, "float32", "oe", output, settings or TuningSettings(), 137, Location(str(place / "out")))


def rows_and_model(place: Path, model: TinyLlama, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A right and a wrong row to train and to select on; the model is saved to be tuned without Ray Train."""
    monkeypatch.setattr(train_loop, "preemption_notice", lambda: False)  # no run of Ray Train to ask
    for part in model:
        part.save_pretrained(place)
    return [row(split, label, row_id=f"{split}{label}") for split in ("train", "val_select") for label in (0, 1)]


def test_every_row_of_the_style_is_counted_once(tmp_path: Path, tiny_llama: TinyLlama) -> None:
    rows = [
        row("train"),
        row("train", 0, context=f"{SHORT} " * 20),  # its left is cut
        row("train", answer="Rome " * 200),  # its answer alone does not fit
        row("train", None),
        row("val_select"),
        row("val_select", None),
        row("val_calibrate"),
        row("test", None),
        row("heldout_families"),
        row("train", style="choice"),
    ]
    data, counts = tuning_data(job_of(tmp_path, rows), tiny_llama[1], WINDOW)
    assert counts == {
        "in": 9,
        "train": 2,
        "val_select": 1,
        "other_split": 3,
        "unscored": 2,
        "too_long": 1,
        "cut_on_the_left": 1,
    }
    assert counts["in"] == sum(counts[name] for name in ("train", "val_select", "other_split", "unscored", "too_long"))
    assert (len(data.train), len(data.val)) == (2, 1)


@pytest.mark.parametrize("method", ["lora_prompt", "lora"])
def test_rows_are_tuned_with_their_examples_where_their_part_says_so(
    tmp_path: Path, tiny_llama: TinyLlama, method: TuningMethod
) -> None:
    job = job_of(tmp_path, [row("train"), row("val_select")], TuningSettings(method=method))

    def begin_with_examples(*given: str) -> tuple[bool, bool]:
        data, counts = tuning_data(replace(job, query_header=parse_query_header(given)), tiny_llama[1], 4096)
        assert counts["cut_on_the_left"] == 0
        (train,), (val,) = data.train, data.val
        shown = [
            ["Up?" in tiny_llama[1].decode(ids) for ids in (row.query_ids, row.kl_ids) if ids] for row in (train, val)
        ]
        assert all(len(set(of_row)) == 1 for of_row in shown)  # both texts of a row begin alike
        return shown[0][0], shown[1][0]

    assert begin_with_examples() == begin_with_examples("mmlu=as-answered", "test=as-answered") == (False, False)
    assert begin_with_examples("as-answered") == (True, True)
    assert begin_with_examples("train=as-answered") == (True, False)
    assert begin_with_examples("as-answered", "train=none") == (False, True)


def test_only_examples_that_are_read_change_the_key_of_what_is_tuned(tmp_path: Path) -> None:
    job = job_of(tmp_path, [row("train"), row("val_select")])

    def key(*given: str) -> str:
        output = StageOutput(
            place=job.labelled,
            manifest=Manifest(stage="labelled", key=job.input_key, config={}, shards=job.shards, counts={}),
            was_done=False,
        )
        out = Location(str(tmp_path / "out"))
        header = parse_query_header(given)
        made = tune_job(job.model, job.dtype, job.style, output, job.settings, job.seed, out, header)
        assert made.query_header == header
        return made.key

    assert key() == key("none") == key(*PAPER_QUERY_HEADER) == key("test=as-answered", "facts=as-answered") == job.key
    assert len({key(*given) for given in ((), ("train=as-answered",), ("val=as-answered",), ("as-answered",))}) == 4


def test_another_fault_is_not_taken_for_a_long_row(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ValueError("the tokenizer is broken")

    monkeypatch.setattr(type(tiny_llama[1]), "__call__", broken)
    with pytest.raises(ValueError, match="the tokenizer is broken"):
        tuning_data(job_of(tmp_path, [row("train")]), tiny_llama[1], WINDOW)


def test_one_class_that_is_left_by_a_short_window_is_refused(tmp_path: Path, tiny_llama: TinyLlama) -> None:
    rows = [
        row("train"),
        row("train", 0, answer="Rome " * 200),
        row("train", 0, answer="Milan " * 200),
        row("val_select"),
        row("val_select", 0),
    ]
    job = job_of(tmp_path, rows)
    with pytest.raises(DataError) as raised:
        check_classes(*tuning_data(job, tiny_llama[1], WINDOW), job)
    assert str(raised.value) == (
        "tuning: all 1 training labels are 1, once 2 rows are left out whose answers are longer than the model reads; "
        "raise --tuning.max-tokens, or tune on one class all the same by --tuning.force-one-class"
    )
    forced = job_of(tmp_path, rows, TuningSettings(force_one_class=True))
    check_classes(*tuning_data(forced, tiny_llama[1], WINDOW), forced)
    whole = job_of(tmp_path, [row(split, label) for split in ("train", "val_select") for label in (0, 1)])
    check_classes(*tuning_data(whole, tiny_llama[1], WINDOW), whole)


def test_a_short_window_that_leaves_one_class_ends_the_run_before_the_first_step(
    tmp_path: Path, tiny_llama: TinyLlama
) -> None:
    for part in tiny_llama:
        part.save_pretrained(tmp_path)
    rows = [row(split, label) for split in ("train", "val_select") for label in (0, 1)]
    rows[2] |= {"answer": "Rome " * 200}
    job = job_of(tmp_path, rows, TuningSettings(steps=1, global_batch_size=2, max_tokens=200))
    with pytest.raises(DataError, match=r"^tuning: all 1 labels of val_select are 1, once 1 rows"):
        tuning.tune(job, World(), checkpoint_now=lambda: False)


def test_what_is_left_out_or_cut_is_said() -> None:
    counts = {"in": 9, "other_split": 3, "unscored": 2, "too_long": 1_000, "cut_on_the_left": 4}
    assert count_lines(counts) == [
        "2 rows are left out, their answers have no verdict",
        "1,000 rows are left out, their answers are longer than the model reads",
        "4 rows were longer than the model can read and lost the left of their text",
    ]
    assert count_lines(dict.fromkeys(counts, 0)) == []


def test_a_loss_that_is_not_finite_costs_its_own_job_alone(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    jobs = [
        job_of(tmp_path, rows, TuningSettings(steps=4, global_batch_size=2, max_tokens=200, lr=lr, log_every=1))
        for lr in (1e30, 1e-3)
    ]
    train_loop.train_loop({"jobs": jobs, "use_gpu": False, "run": "r"})
    bad, good = jobs
    assert good.place.exists("manifest.json")
    assert not bad.place.exists("manifest.json")
    assert "is not finite" in bad.place.read_json(tuning.FAILURE)["error"]
    assert (good.adapter.local_path / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), ModelError("no layer of attention")])
def test_what_would_fail_again_is_not_tried_again_in_the_same_run(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Ray starts the workers anew: they pass the job over, and do the others; another run tries it again."""
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    bad, good = (
        job_of(tmp_path, rows, TuningSettings(steps=1, global_batch_size=2, max_tokens=200, lr=lr)) for lr in (1, 1e-3)
    )
    tried, tune = [], tuning.tune

    def fails(job: TuneJob, world: World, **hooks: Any) -> None:
        tried.append(job.settings.lr)
        if job.key == bad.key and tried.count(1) == 1:
            raise error
        tune(job, world, **hooks)

    monkeypatch.setattr(train_loop, "tune", fails)
    with pytest.raises(type(error)):
        train_loop.train_loop({"jobs": [bad, good], "use_gpu": False, "run": "r"})
    train_loop.train_loop({"jobs": [bad, good], "use_gpu": False, "run": "r"})
    assert tried == [1, 1e-3]
    assert bad.place.read_json(tuning.FAILURE)["error"] == str(error)
    train_loop.train_loop({"jobs": [bad, good], "use_gpu": False, "run": "s"})
    assert tried == [1, 1e-3, 1]
    assert all(finished(job.place, job.key) for job in (bad, good))
    assert not bad.place.exists(tuning.FAILURE)


def test_another_fault_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(tmp_path, [row("train")])

    def fails(job: TuneJob, world: World, **hooks: Any) -> None:
        raise RuntimeError("connection reset by peer")

    monkeypatch.setattr(train_loop, "tune", fails)
    with pytest.raises(RuntimeError, match="reset"):
        train_loop.train_loop({"jobs": [job], "use_gpu": False, "run": "r"})
    assert not job.place.exists(tuning.FAILURE)


def test_rows_without_finite_logits_of_the_base_model_are_counted(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_loop, "preemption_notice", lambda: False)  # no run of Ray Train to ask
    for part in tiny_llama:
        part.save_pretrained(tmp_path)
    model = copy.deepcopy(tiny_llama[0])
    others = set(tiny_llama[1](f"{SHORT} Rome")["input_ids"])
    (first, *_) = [token for token in tiny_llama[1](" Madrid")["input_ids"] if token not in others]
    with torch.no_grad():
        model.model.embed_tokens.weight[first] = torch.nan
    monkeypatch.setattr(base_models, "load_causal_lm", lambda *arguments: model)
    rows = [
        row(split, label, row_id=f"{split}{label}{place}")
        for split in ("train", "val_select")
        for label in (0, 1)
        for place in range(2)
    ]
    rows[1]["answer"] = "Madrid"
    job = job_of(tmp_path, rows, TuningSettings(steps=2, global_batch_size=2, max_tokens=200, log_every=1))
    train_loop.train_loop({"jobs": [job], "use_gpu": False, "run": "r"})
    found = finished(job.place, job.key)
    assert found is not None
    assert {name: found.manifest.counts[name] for name in ("train", "not_finite")} == {"train": 4, "not_finite": 1}


@pytest.mark.parametrize("lost", ["adapter/adapter_model.safetensors", "adapter", "training.json"])
def test_tuned_files_that_are_lost_are_made_again_from_the_last_checkpoint(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    job = job_of(tmp_path, rows, TuningSettings(steps=2, global_batch_size=2, max_tokens=200, log_every=1))
    train_loop.train_loop({"jobs": [job], "use_gpu": False, "run": "r"})
    weights = job.adapter.read_bytes("adapter_model.safetensors")
    assert finished(job.place, job.key) is not None
    (job.place / lost).remove()
    assert finished(job.place, job.key) is None
    train_loop.train_loop({"jobs": [job], "use_gpu": False, "run": "r"})
    assert finished(job.place, job.key) is not None
    assert job.adapter.read_bytes("adapter_model.safetensors") == weights
