"""The answer worker on plain rows: no Ray."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.engines.memory import TOO_LARGE
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.names import find_model
from raycalib.prompts import choice_context, open_ended_context, sanitize
from raycalib.records import ANSWER, Row
from raycalib.stages.workers.answers import AnswerWorker
from raycalib.stages.workers.model import ModelWorkerConfig, load_engine

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


def question(number: int, *, context: str | None = None, options: tuple[str, ...] = ()) -> Row:
    asked = f"What is the capital of {'Peru ' * (number + 1)}?"
    return {
        "row_id": f"r{number}",
        "source": "test",
        "split": "test",
        "style": "choice" if options else "oe",
        "task": "t",
        "group": f"g{number}",
        "fresh_entity": False,
        "prompt": "",
        "context": context or (choice_context(asked, options) if options else open_ended_context(asked)),
        "target_prompt": "\nAnswer:",
        "target": "a" if options else "Lima",
        "options": list(options),
    }


@pytest.fixture
def config(tiny_model_dir: Path) -> ModelWorkerConfig:
    return ModelWorkerConfig(
        source=find_model(str(tiny_model_dir)),
        dtype="float32",
        use_gpu=False,
        max_batch_tokens=512,
        max_new_tokens=6,
        max_tokens=128,
    )


def check_rows(questions: list[Row], answers: list[Row]) -> None:
    pa.Table.from_pylist(answers, schema=ANSWER).validate(full=True)
    assert [row["row_id"] for row in answers] == [row["row_id"] for row in questions]
    assert all(answer | asked == answer for asked, answer in zip(questions, answers, strict=True))


def test_rows_are_answered_in_order_and_a_bad_one_costs_itself_alone(config: ModelWorkerConfig) -> None:
    rows = [question(number, options=("Lima", "Rome") if number % 2 else ()) for number in range(6)]
    rows.insert(2, question(90, context="x") | {"target_prompt": "\nAnswer " + "again " * 200 + ":"})
    worker = AnswerWorker(config)
    answers = worker.process(rows)
    check_rows(rows, answers)
    assert [row["row_id"] for row in answers if row["error"]] == ["r90"]
    assert "too long" in answers[2]["error"]
    assert (answers[2]["finish_reason"], answers[2]["log_likelihood"], answers[2]["min_margin"]) == (
        "error",
        None,
        None,
    )
    for row in answers[:2] + answers[3:]:
        assert row["answer"] == sanitize(row["output"])
        assert row["min_margin"] >= 0
        assert row["log_likelihood"] < 0
        assert len(row["option_log_likelihoods"]) == len(row["options"])
    figures = worker.take_figures()
    assert figures["tokens_read"] > 0
    assert figures["memory_retries"] == 0
    assert worker.take_figures() == dict.fromkeys(figures, 0)


def test_no_rows_and_one_row(config: ModelWorkerConfig) -> None:
    worker = AnswerWorker(config)
    assert worker.process([]) == []
    check_rows([question(1)], worker.process([question(1)]))


def test_an_answer_may_be_empty(tiny_llama: TinyLlama, config: ModelWorkerConfig) -> None:
    worker = AnswerWorker(config)
    model, tokenizer = worker.engine.model, worker.engine.tokenizer  # type: ignore[attr-defined]
    with torch.no_grad():  # whatever it reads, it ends at once
        model.lm_head.weight[:] = 0
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
        model.lm_head.bias[tokenizer.eos_token_id] = 5.0
    (row,) = worker.process([question(0)])
    check_rows([question(0)], [row])
    assert (row["output"], row["answer"], row["n_answer_tokens"], row["finish_reason"]) == ("", "", 0, "stop")
    assert row["error"] is None
    assert row["min_margin"] == pytest.approx(5.0)


def test_a_row_without_room_in_memory_stays_with_the_reason(
    config: ModelWorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = AnswerWorker(config)
    model = worker.engine.model  # type: ignore[attr-defined]
    whole = model.forward

    def small(*args: Any, **inputs: Any) -> Any:
        if inputs["attention_mask"].shape[1] > 60:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(*args, **inputs)

    monkeypatch.setattr(model, "forward", small)
    rows = [question(0), question(60), question(1)]
    answers = worker.process(rows)
    check_rows(rows, answers)
    assert [row["error"] for row in answers] == [None, TOO_LARGE, None]


def test_an_engine_that_is_not_installed_says_so(config: ModelWorkerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace
    import sys

    from raycalib.errors import ModelError

    monkeypatch.setitem(sys.modules, "vllm", None)  # importing it fails, also where it is installed
    with pytest.raises(ModelError, match=r"vllm cannot be imported.*install raycalib\[vllm\]"):
        load_engine(replace(config, engine=EngineSettings(name="vllm")))
