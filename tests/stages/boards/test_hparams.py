"""Hyper-parameters and best figures in event files, as TensorBoard's HPARAMS tab reads them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.stages.boards.hyperparameters import hyperparameters, probe_hyperparameters
from raycalib.stages.workers import trial
from raycalib.stages.workers.tuning_log import TuningLog
from raycalib.storage import Location
from raycalib.tuning.settings import ProbeSettings, TuningSettings
from tests.stages.test_tune import job_of, row, rows_and_model
from tests.stages.workers.test_tuning_log import EVALUATION, STEP, events, scalars

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
PLUGIN = "hparams"
START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"


def sessions(content: bytes) -> dict[str, HParamsPluginData]:
    """What the plugin is told, by tag."""
    return {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events(content)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == PLUGIN
    }


def values_of(told: HParamsPluginData) -> dict[str, Any]:
    hparams = told.session_start_info.hparams
    return {name: getattr(hparams[name], hparams[name].WhichOneof("kind")) for name in hparams}


def test_jobs_have_the_same_names_and_readable_values(tmp_path: Path) -> None:
    job = job_of(tmp_path, [row("train")], TuningSettings(kl_decay=0.5, steps=7, lr=1e-3, train_rows=200))
    found = hyperparameters(job)
    assert found == {
        "combo": "tiny/oe", "model": "tiny", "style": "oe", "method": "lora_prompt", "kl_decay": 0.5, "kl_kind": "jsd",
        "steps": 7, "lr": 1e-3, "train_rows": 200, "seed": 137, "schedule": "cosine", "global_batch_size": 16,
        "lora_rank": 8,
    }  # fmt: skip
    others = [
        replace(job, settings=replace(job.settings, **changed)) for changed in ({"method": "lora"}, {"kl_decay": 0.0})
    ]
    assert [(hyperparameters(other)["kl_decay"], hyperparameters(other)["kl_kind"]) for other in others] == [
        (0, "none")
    ] * 2
    assert hyperparameters(replace(job, settings=replace(job.settings, train_rows=0)))["train_rows"] == "all"
    probe = probe_hyperparameters("tiny", "oe", ProbeSettings(), 0, 1)
    assert list(probe) == list(found)
    assert (probe["combo"], probe["method"], probe["steps"], probe["train_rows"]) == ("tiny/oe", "probe", 1000, "all")


def test_a_job_that_is_cut_off_is_in_the_table_without_an_end(tmp_path: Path) -> None:
    log = TuningLog(Location(str(tmp_path)), "t", {"combo": "m/oe", "kl_decay": 0.5, "steps": 50})
    log.observe_step(STEP)
    log.observe(EVALUATION)
    log.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    told = sessions(file.read_bytes())
    assert list(told) == [START]
    assert values_of(told[START]) == {"combo": "m/oe", "kl_decay": 0.5, "steps": 50.0}
    assert not [tag for tag, _ in scalars(file.read_bytes()) if tag.startswith("best/")]


def test_the_table_has_the_best_figures_at_the_end_on_an_object_store_too() -> None:
    place = Location("memory://hparams")
    log = TuningLog(place, "t", {"combo": "m/oe"})
    log.observe_step(STEP)
    log.observe(EVALUATION)
    history = [
        {"step": 10, "val_nll": 0.7, "val_ece": 0.2, "val_auroc": 0.5},
        {"step": 20, "val_nll": 0.6, "val_ece": 0.1, "val_auroc": None},
        {"step": 30, "val_nll": 0.9, "val_ece": 0.3, "val_auroc": 0.9},
    ]
    log.best(history, 20)
    log.close()
    (name,) = (place / "tensorboard").names()
    content = (place / "tensorboard").read_bytes(name)
    assert list(sessions(content)) == [START, END]
    best = {key: value for key, value in scalars(content).items() if key[0].startswith("best/")}
    assert best == pytest.approx({("best/nll", 20): 0.6, ("best/ece", 20): 0.1})
    fsspec.filesystem("memory").rm("/hparams", recursive=True)


def test_a_trial_leaves_its_best_figures(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial.ray_tune, "report", lambda figures: None)
    monkeypatch.setattr(trial, "node_is_going", lambda: False)
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    settings = TuningSettings(steps=4, eval_every=2, lr=1e-3, global_batch_size=2, max_tokens=200, log_every=1)
    job = job_of(tmp_path, rows, settings)
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    (file,) = (job.place / "tensorboard").local_path.iterdir()
    content = file.read_bytes()
    told, shown = sessions(content), scalars(content)
    assert values_of(told[START])["steps"] == 4
    assert END in told
    record = job.place.read_json("training.json")
    (best,) = (each for each in record["history"] if each["step"] == record["best_step"])
    for tag, name in (("best/nll", "val_nll"), ("best/ece", "val_ece"), ("best/auroc", "val_auroc")):
        assert shown[tag, record["best_step"]] == pytest.approx(best[name], rel=1e-6)
