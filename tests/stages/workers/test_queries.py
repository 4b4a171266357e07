"""Feature and scoring workers on plain rows: no Ray."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.adapters import attach_lora, save_adapter
from raycalib.lm.engines.memory import TOO_LARGE
from raycalib.lm.logits import state_size
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.names import find_model
from raycalib.lm.query_scoring import NOT_FINITE
from raycalib.prompts import open_ended_context
from raycalib.records import FEATURES, Row
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import FeatureWorker, TunedQueryWorker
from raycalib.storage import Location
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_files import LAYERS, save_head
from tests.lm.architectures import tiny_model
from tests.stages.answers import answer

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
PLACES = ("France", "Peru", "Japan")


@pytest.fixture
def worker(tiny_model_dir: Path) -> FeatureWorker:
    return FeatureWorker(
        ModelWorkerConfig(source=find_model(str(tiny_model_dir)), dtype="float32", use_gpu=False, max_batch_tokens=512)
    )


def rows() -> list[Row]:
    texts = [open_ended_context(f"What is the capital of {place}?") for place in PLACES]
    return [answer(f"r{index}", "Lima", "x") | {"context": text} for index, text in enumerate(texts)]


def check(found: list[Row], index: int, error: str, expected: list[Row]) -> None:
    pa.Table.from_pylist(found, schema=FEATURES).validate(full=True)
    assert [row["error"] for row in found] == [error if place == index else None for place in range(len(found))]
    assert (found[index]["logit_no"], found[index]["logit_yes"], found[index]["feature"]) == (None, None, None)
    for place, row in enumerate(found):
        if place != index:
            np.testing.assert_allclose(row["feature"], expected[place]["feature"], atol=1e-5)
            assert row["logit_yes"] == pytest.approx(expected[place]["logit_yes"], abs=1e-5)


def test_a_row_whose_logits_are_not_finite_is_an_error_and_the_others_are_not(worker: FeatureWorker) -> None:
    expected = worker.process(rows())
    ids = [set(worker.scorer.tokenizer(row["context"])["input_ids"]) for row in rows()]
    with torch.no_grad():
        worker.scorer.model.model.embed_tokens.weight[min(ids[1] - ids[0] - ids[2])] = torch.nan
    check(worker.process(rows()), 1, NOT_FINITE, expected)


def test_a_row_without_room_in_memory_is_an_error_and_the_others_are_not(
    worker: FeatureWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rows()
    given[2]["context"] += " x" * 40
    expected = worker.process(given)
    forward = worker.scorer.model.model.forward

    def small(input_ids: torch.Tensor, **named: object) -> object:
        if input_ids.numel() > 150 or input_ids.shape[1] > 80:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids=input_ids, **named)

    monkeypatch.setattr(worker.scorer.model.model, "forward", small)
    check(worker.process(given), 2, TOO_LARGE, expected)


def test_a_tuned_head_reads_states_of_another_size_than_the_layers(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    """OPT-350m projects its last states to half their size; composite configurations name no size at all."""
    model = tiny_model("opt", len(tiny_llama[1]))
    size = state_size(model)
    assert size != model.config.hidden_size
    model.save_pretrained(tmp_path)
    tiny_llama[1].save_pretrained(tmp_path)
    place = Location(str(tmp_path))
    torch.manual_seed(0)
    save_head(place / "head", {f"{LAYERS}{name}": tensor for name, tensor in Probe(size).layers.state_dict().items()})
    save_adapter(attach_lora(model, LoraSettings(rank=2), 0), place / "adapter")
    worker = TunedQueryWorker(
        ModelWorkerConfig(
            source=find_model(str(tmp_path)),
            dtype="float32",
            use_gpu=False,
            max_batch_tokens=512,
            adapters=(("oe", place / "adapter"),),
            heads=(("oe", place / "head"),),
        )
    )
    given = [row | {"style": "oe"} for row in rows()]
    assert [row["error"] for row in worker.process(given)] == [None] * len(given)
