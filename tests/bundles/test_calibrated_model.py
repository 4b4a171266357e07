"""A bundle answers as its base does, and its confidences are those of the parts that it was made of."""

import copy
import json
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
from peft import PeftModel
import pytest
import torch
from transformers import AutoModelForCausalLM

from raycalib import CalibratedModel
from raycalib.bundles.base import base_source
from raycalib.bundles.bundle import open_bundle
from raycalib.bundles.thresholds import calibration_rows
from raycalib.errors import ConfigError, ModelError
from raycalib.lm.adapters import load_adapter
from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.lm.query_scoring import QueryScorer
from raycalib.prompts import choice_context, query_text, sanitize
from raycalib.sources.facts.questions import fact_questions
from raycalib.storage import Location
from raycalib.tuning.combined import Combined
from raycalib.tuning.probe_files import load_probe
from tests.bundles.bundles import FEW_ROWS, PLATT, TEMPERATURE, WEIGHTS, TinyLlama, calibrated, made_bundle

QUESTIONS = ["What is the capital of France?", "What is the capital of Peru?", "Why?"]
OPTIONS = ["Rome", "Paris", "Lima"]


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


@pytest.fixture
def bundle(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> Location:
    return made_bundle(tiny_llama, tiny_model_dir, tmp_path)


def texts(questions: list[str]) -> list[str]:
    return [f"Question: {question}\nAnswer:" for question in questions]


def test_the_confidence_is_that_of_the_adapter_and_the_temperature(bundle: Location, tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    answers = ["Paris", "Rome", ""]
    found = CalibratedModel.from_pretrained(bundle.uri).confidence(QUESTIONS, answers)
    adapted = load_adapter(copy.deepcopy(model), bundle, "own").get_base_model()
    logits = QueryScorer(adapted, tokenizer).score(texts(QUESTIONS), answers).logits
    expected = sigmoid((logits[:, 1] - logits[:, 0]) / TEMPERATURE.value)
    assert [each.p_correct for each in found] == pytest.approx(expected.tolist(), abs=1e-6)
    assert [(each.text, each.reason, each.method) for each in found] == [(a, "", "lora_prompt") for a in answers]
    base = QueryScorer(copy.deepcopy(model), tokenizer).score(texts(QUESTIONS), answers).logits
    assert np.abs(base - logits).max() > 0.1, "the adapter changes something"


def test_plain_peft_gives_the_same_logits(bundle: Location) -> None:
    """``RAYCALIB_BUNDLE`` names a run's bundle with an adapter, as ``runs/demo/bundles/llama2-7b-oe``, in its place."""
    place = os.environ.get("RAYCALIB_BUNDLE", bundle.uri)
    ours = CalibratedModel.from_pretrained(place, dtype="float32")
    base = base_source(ours.bundle.record.base).path
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), place).eval()
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    worst = changed = 0.0
    with torch.no_grad():
        for row in fact_questions("oe", "test", 137, 40):
            text = query_text(f"{row['context']}\nAnswer:", row["target"])
            ids = ours.tokenizer(text, return_tensors="pt", verbose=False)["input_ids"]
            expected = theirs(ids).logits
            worst = max(worst, float((ours.model(ids).logits - expected).abs().max()))
            changed = max(changed, float((plain(ids).logits - expected).abs().max()))
    print(f"largest difference {worst:.2g}; the adapter changes logits by up to {changed:.1f}")
    assert worst < 1e-5
    assert changed > 0.1


def test_the_probe_reads_the_base_models_states(bundle: Location, tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    answers = ["Paris", "Rome", "I do not know"]
    found = CalibratedModel.from_pretrained(bundle.uri, method="probe").confidence(QUESTIONS, answers)
    states = QueryScorer(copy.deepcopy(model), tokenizer).score(texts(QUESTIONS), answers).states
    margins = load_probe(bundle / "probe").margin(states)
    assert [each.p_correct for each in found] == pytest.approx(sigmoid(margins / TEMPERATURE.value).tolist(), abs=1e-6)


def test_platt_scaling_shifts_what_the_temperature_divides(
    tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    answers = ["Paris", "Rome", "I do not know"]
    plain = made_bundle(tiny_llama, tiny_model_dir, tmp_path / "plain")
    platt = made_bundle(
        tiny_llama, tiny_model_dir, tmp_path / "platt", methods={"lora_prompt": calibrated(kind="platt")}
    )
    one, other = (CalibratedModel.from_pretrained(place.uri).confidence(QUESTIONS, answers) for place in (plain, platt))
    log_odds = [np.log(each.p_correct / (1 - each.p_correct)) for each in one if each.p_correct is not None]
    assert [each.p_correct for each in other] == pytest.approx(sigmoid(np.array(log_odds) + PLATT.shift).tolist())
    rows = calibration_rows(open_bundle(platt.uri), "lora_prompt")
    assert rows.confidence == pytest.approx(sigmoid(FEW_ROWS[0] / PLATT.value + PLATT.shift))
    for place, kind in ((plain, "platt"), (platt, "temperature")):
        record = place.read_json("raycalib.json")
        record["methods"]["lora_prompt"]["calibration"]["kind"] = kind
        place.write_json("raycalib.json", record)
        with pytest.raises(ModelError, match=f"lora_prompt is said to have {kind}, and has another scaling"):
            CalibratedModel.from_pretrained(place.uri)


@pytest.mark.parametrize(
    "weights",
    [WEIGHTS, Combined(signals=("lora", "lora_prompt", "probe"), weights=(1.5, 0.4, 3.0), shift=-0.5, n=30)],
    ids=["two", "three"],
)
def test_combined_weighs_what_adapters_and_probe_say(
    tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path, weights: Combined
) -> None:
    methods = {name: calibrated() for name in (*weights.signals, "combined")}
    place = made_bundle(tiny_llama, tiny_model_dir, tmp_path, methods=methods, weights=weights)
    answers = ["Paris", "Rome", "I do not know"]
    models = {name: CalibratedModel.from_pretrained(place.uri, method=name) for name in methods}
    said = {name: [each.p_correct for each in model.confidence(QUESTIONS, answers)] for name, model in models.items()}
    log_odds = np.array([[TEMPERATURE.value * np.log(p / (1 - p)) for p in said[name]] for name in weights.signals])
    expected = np.array(weights.weights) @ log_odds + weights.shift
    assert said["combined"] == pytest.approx(sigmoid(expected / TEMPERATURE.value).tolist(), abs=1e-5)
    texts_of = {name: [answer.text for answer in model.answer(QUESTIONS)] for name, model in models.items()}
    assert len({tuple(found) for found in texts_of.values()}) == 1, "answers are the base model's"
    again = models["combined"].confidence(QUESTIONS, answers)
    assert [each.p_correct for each in again] == said["combined"], "answering leaves the adapters as they were"


def test_a_row_that_one_signal_says_nothing_of_has_no_combined_confidence(
    tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    methods = {name: calibrated() for name in ("lora_prompt", "probe", "combined")}
    place = made_bundle(tiny_llama, tiny_model_dir, tmp_path, methods=methods, max_tokens=40)
    model = CalibratedModel.from_pretrained(place.uri, method="combined")
    fits, cut = model.confidence(["Why?", "Why " + "so " * 60 + "?"], ["Rome", "Rome"])
    assert fits.p_correct is not None
    assert (cut.p_correct, "longer than the model reads" in cut.reason) == (None, True)


def test_combined_needs_the_methods_that_it_is_made_of(
    tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    methods = {name: calibrated() for name in ("lora_prompt", "combined")}
    place = made_bundle(tiny_llama, tiny_model_dir, tmp_path, methods=methods)
    with pytest.raises(ModelError, match="combined is made of probe, which is not in the bundle"):
        CalibratedModel.from_pretrained(place.uri, method="combined")
    weights = place.read_json("combined/combined.json")
    place.write_json("combined/combined.json", weights | {"signals": ["combined", "lora_prompt"]})
    with pytest.raises(ModelError, match="combined is made of combined, which is not in the bundle"):
        CalibratedModel.from_pretrained(place.uri, method="combined")


def test_answers_are_the_base_models(bundle: Location, tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    calibrated_model = CalibratedModel.from_pretrained(bundle.uri)
    found = calibrated_model.answer(QUESTIONS)
    done = GreedyGenerator(copy.deepcopy(model), tokenizer, 8).generate(
        [GenerationRequest(t) for t in texts(QUESTIONS)]
    )
    assert [each.text for each in found] == [sanitize(each.output) for each in done]
    for answer, generation in zip(found, done, strict=True):
        is_cut = generation.finish_reason == "length"
        assert (answer.p_correct is None) == is_cut == answer.reason.startswith("the answer was cut")
    judged = calibrated_model.confidence(QUESTIONS, [each.text for each in found])
    for one, other in zip(found, judged, strict=True):
        assert one.p_correct is None or one.p_correct == pytest.approx(other.p_correct, abs=1e-6)


def test_options_are_chosen_by_letter_and_judged_by_letter_or_text(
    tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model, tokenizer = tiny_llama
    bundle = made_bundle(tiny_llama, tiny_model_dir, tmp_path, style="choice")
    calibrated_model = CalibratedModel.from_pretrained(bundle.uri)
    given = ["b", "Paris", "(B)", "Berlin", "d"]
    found = calibrated_model.confidence([QUESTIONS[0]] * 5, given, [OPTIONS] * 5)
    assert [(each.letter, each.text) for each in found] == [("b", "Paris")] * 3 + [("", "Berlin"), ("", "d")]
    assert [each.p_correct for each in found[:3]] == pytest.approx([found[0].p_correct] * 3, abs=1e-6)
    assert all(each.p_correct is None and "neither an option" in each.reason for each in found[3:])
    text = f"{choice_context(QUESTIONS[0], OPTIONS)}\nAnswer:"
    logits = (
        QueryScorer(load_adapter(copy.deepcopy(model), bundle, "own").get_base_model(), tokenizer)
        .score([text], ["b"])
        .logits[0]
    )
    assert found[0].p_correct == pytest.approx(float(sigmoid((logits[1] - logits[0]) / TEMPERATURE.value)), abs=1e-6)
    (answer,) = calibrated_model.answer([QUESTIONS[0]], [OPTIONS])
    (done,) = GreedyGenerator(copy.deepcopy(model), tokenizer, 8).generate([GenerationRequest(text, 3)])
    letter = sanitize(done.output)
    assert answer.letter == (letter if letter in "abc" else "")
    assert answer.text == (OPTIONS["abc".index(letter)] if letter in "abc" else letter)


def test_no_number_without_calibration(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> None:
    methods = {"lora_prompt": calibrated("12 calibration rows, fewer than 20")}
    bundle = made_bundle(tiny_llama, tiny_model_dir, tmp_path, methods=methods)
    (found,) = CalibratedModel.from_pretrained(bundle.uri).confidence(QUESTIONS[:1], ["Paris"])
    assert found.p_correct is None
    assert found.reason == "the bundle is not calibrated: 12 calibration rows, fewer than 20"


def test_no_number_for_a_text_that_does_not_fit_or_several_lines(bundle: Location) -> None:
    model = CalibratedModel.from_pretrained(bundle.uri)
    found = model.confidence(["Why? " * 300, "Why?", "Why?"], ["Paris", "Paris " * 500, "Paris\nRome"])
    assert [each.p_correct for each in found] == [None] * 3
    assert "tokens of its left were cut" in found[0].reason
    assert "too long" in found[1].reason
    assert "several lines" in found[2].reason


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((["Why?"], [["a", "b"]]), "open-ended"),
        (("Why?", None), "give a list"),
    ],
)
def test_questions_of_another_kind_are_refused(bundle: Location, arguments: tuple[object, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        CalibratedModel.from_pretrained(bundle.uri).answer(*arguments)  # type: ignore[arg-type]


def test_what_is_not_there_is_said(bundle: Location, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no raycalib\.json in .*absent"):
        CalibratedModel.from_pretrained(str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="'lora' is not in the bundle; allowed: lora_prompt, probe"):
        CalibratedModel.from_pretrained(bundle.uri, method="lora")
    with pytest.raises(ConfigError, match="'tpu' is unknown"):
        CalibratedModel.from_pretrained(bundle.uri, device="tpu")  # type: ignore[arg-type]


def test_another_base_is_refused(bundle: Location, tiny_model_dir: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_model_dir / "config.json").read_text())
    moved = tiny_model_dir.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match=r"its base model tiny was in .*--base"):
        CalibratedModel.from_pretrained(bundle.uri)
    assert CalibratedModel.from_pretrained(bundle.uri, base=str(moved)).confidence(["Why?"], ["so"])[0].p_correct
    (moved / "config.json").write_text(json.dumps(config | {"rope_theta": 5.0}))
    with pytest.raises(ModelError, match="other weights, or another tokenizer"):
        CalibratedModel.from_pretrained(bundle.uri, base=str(moved))


def test_importing_raycalib_loads_no_torch() -> None:
    said = "import sys, raycalib; print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
