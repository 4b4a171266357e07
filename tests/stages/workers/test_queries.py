"""Feature and scoring workers on plain rows: no Ray."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.adapters import attach_lora, save_adapter
from raycalib.lm.engines.memory import TOO_LARGE
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.logits import final_states, label_logits, state_size
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.names import find_model
from raycalib.lm.query_scoring import NOT_FINITE, QueryScorer
from raycalib.prompts import open_ended_context, query_text
from raycalib.records import FEATURES, Row
from raycalib.sources.parts import parse_query_header
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import FeatureWorker, TunedQueryWorker
from raycalib.stages.workers.rows import example_text, queried_text
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


SHOTS = "The following are questions (with answers).\n\nQuestion: Up?\nAnswer: down\n\nNow, answer the following.\n\n"


def header_rows() -> list[Row]:
    """Rows of several parts, all answered with the same few-shot examples."""
    parts = [("train", "arc"), ("val_select", "arc"), ("mmlu", "mmlu:anatomy"), ("heldout_families", "mmlu:virology")]
    return [
        row | {"split": split, "source": source, "prompt": SHOTS}
        for row, (split, source) in zip([*rows(), *rows()], parts, strict=False)
    ]


@pytest.mark.parametrize(
    ("given", "shows"),
    [
        ((), [False, False, False, False]),
        (("as-answered",), [True, True, True, True]),
        (("none", "mmlu=as-answered"), [False, False, True, True]),
        (("as-answered", "train=none", "mmlu:virology=none"), [False, True, True, False]),
    ],
)
def test_a_query_shows_the_examples_where_its_part_says_so(
    tiny_model_dir: Path, tmp_path: Path, given: tuple[str, ...], shows: list[bool]
) -> None:
    """Features and tuned queries are those of the plain texts, written out."""
    source = find_model(str(tiny_model_dir))
    model, tokenizer = load_causal_lm(source, "float32", False), load_tokenizer(source)
    texts = [
        f"{SHOTS if shown else ''}{row['context']}\nAnswer:" for row, shown in zip(header_rows(), shows, strict=True)
    ]
    expected = QueryScorer(model, tokenizer).score(texts, ["x"] * 4)
    config = ModelWorkerConfig(
        source=source,
        dtype="float32",
        use_gpu=False,
        max_batch_tokens=512,
        query_header=parse_query_header(given),
    )
    found = FeatureWorker(config).process(header_rows())
    np.testing.assert_allclose([row["feature"] for row in found], expected.states, atol=1e-5)
    logits = [[row["logit_no"], row["logit_yes"]] for row in found]
    np.testing.assert_allclose(logits, expected.logits, atol=1e-5)
    place = Location(str(tmp_path / "adapter"))
    save_adapter(attach_lora(model, LoraSettings(rank=2), 0), place)  # its second factor is zero: the base's logits
    tuned = TunedQueryWorker(replace(config, adapters=(("oe", place),))).process_task("oe", header_rows())
    np.testing.assert_allclose([[row["logit_no"], row["logit_yes"]] for row in tuned], expected.logits, atol=1e-5)


def test_a_long_query_loses_its_examples_before_its_question(tiny_model_dir: Path) -> None:
    (row,) = header_rows()[:1]
    config = ModelWorkerConfig(
        source=find_model(str(tiny_model_dir)),
        dtype="float32",
        use_gpu=False,
        max_batch_tokens=512,
        query_header=parse_query_header(["as-answered"]),
    )
    tokenizer = load_tokenizer(config.source)
    whole, bare = (
        list(tokenizer(query_text(queried_text(row, shown), row["answer"]))["input_ids"]) for shown in (True, False)
    )
    for limit, has_question in ((len(bare), True), (len(bare) - 8, False)):
        worker = FeatureWorker(replace(config, max_tokens=limit))
        (found,) = worker.process([row])
        n_cut = len(whole) - limit
        assert found["n_query_cut"] == n_cut
        text = tokenizer.decode(whole[1 + n_cut :])  # behind the BOS
        assert ("Up?" in text, "What is the capital" in text) == (False, has_question)
        with torch.inference_mode():
            states = final_states(worker.scorer.model, [whole[:1] + whole[1 + n_cut :]], 0)
            pair = label_logits(worker.scorer.model, states[:, -1], list(query_label_tokens(tokenizer)))[0].tolist()
        assert [found["logit_no"], found["logit_yes"]] == pytest.approx(pair, abs=1e-5)


def test_a_judge_is_never_shown_the_examples() -> None:
    (row,) = header_rows()[:1]
    assert queried_text(row) == f"{row['context']}\nAnswer:"
    assert queried_text(row, with_header=True) == example_text(row) == f"{SHOTS}{row['context']}\nAnswer:"


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
            heads=(("oe", place / "head", "probe.safetensors"),),
        )
    )
    given = rows()
    assert [row["error"] for row in worker.process_task("oe", given)] == [None] * len(given)
