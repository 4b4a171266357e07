"""Feature and scoring workers on plain rows: no Ray."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.engines.memory import TOO_LARGE
from raycalib.lm.names import find_model
from raycalib.lm.query_scoring import NOT_FINITE
from raycalib.prompts import open_ended_context
from raycalib.records import FEATURES, Row
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import FeatureWorker
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
