"""What a tuning worker leaves and a scoring worker makes of it, for each method, without Ray."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.adapters import save_adapter
from raycalib.lm.names import ModelSource
from raycalib.prompts import open_ended_context
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import TunedQueryWorker
from raycalib.storage import Location
from raycalib.tuning.hooks import TuningData
from raycalib.tuning.probe_files import save_head
from raycalib.tuning.settings import TuningMethod
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.tuned_weights import best_adapter, best_head
from raycalib.tuning.world import World
from tests.tuning.distributed_worker import PLACES, SETTINGS, toy_rows

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


def tuned(tiny: TinyLlama, method: TuningMethod, place: Path) -> Tuner:
    settings = replace(SETTINGS, method=method, eval_every=SETTINGS.steps)
    rows = toy_rows(tiny[1], method)
    data = TuningData(train=rows[:10], val=rows[10:])
    tuner = Tuner(
        copy.deepcopy(tiny[0]),
        tiny[1],
        data,
        settings,
        seed=1,
        checkpoints=Location(str(place)),
        key="k",
        world=World(),
    )
    state = tuner.run()
    assert tuner.peft_model is not None
    save_adapter(tuner.peft_model, Location(str(place / "adapter")), best_adapter(state))
    if head := best_head(state):
        save_head(Location(str(place / "head")), head)
    return tuner


@pytest.mark.parametrize("method", ["lora_prompt", "lora"])
def test_scores_are_those_that_the_run_selected_by(tiny_llama: TinyLlama, tmp_path: Path, method: TuningMethod) -> None:
    for part in tiny_llama:
        part.save_pretrained(tmp_path / "model")
    tuner = tuned(tiny_llama, method, tmp_path)
    worker = TunedQueryWorker(
        ModelWorkerConfig(
            source=ModelSource(name="tiny", path=str(tmp_path / "model"), is_local=True),
            dtype="float32",
            use_gpu=False,
            max_batch_tokens=500,
            adapters=(("oe", Location(str(tmp_path / "adapter"))),),
            heads=(("oe", Location(str(tmp_path / "head")), "probe.safetensors"),) if method == "lora" else (),
        )
    )
    rows = [
        {
            "row_id": f"{place}/{answer}",
            "source": "test",
            "split": "test",
            "style": "oe",
            "context": open_ended_context(f"What is the capital of {place}?"),
            "target": "Lima",
            "target_prompt": "\nAnswer:",
            "prompt": "",
            "answer": answer,
            "error": None,
        }
        for place in PLACES
        for answer in ("Paris", "Rome")
    ]
    found = worker.process_task("oe", rows)
    assert [row["error"] for row in found] == [None] * len(rows)
    margins = np.array([row["logit_yes"] - row["logit_no"] for row in found])[10:]
    np.testing.assert_allclose(margins, tuner.validation.margins(), rtol=1e-4, atol=1e-5)
