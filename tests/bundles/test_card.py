"""The card of a bundle: the hub's own reader takes it, its figures are the record's, and nothing in it is markup."""

from dataclasses import replace
from pathlib import Path

from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
import numpy as np
import pytest

from raycalib.bundles.card import CARD, DIAGRAM, adapter_rank, licence_of, model_card
from raycalib.bundles.record import BaseRecord, BundleRecord
from raycalib.evaluation.figures import reliability, scored_columns
from raycalib.reports.card_plot import reliability_png
from raycalib.storage import Location
from tests.bundles.bundles import TinyLlama, calibrated, made_bundle, record_of


@pytest.fixture
def record(tiny_llama: TinyLlama, tiny_model_dir: Path) -> BundleRecord:
    return record_of(tiny_model_dir, tiny_llama[1])


def on_the_hub(record: BundleRecord, path: str) -> BundleRecord:
    base = BaseRecord(name="llama2:7b", path=path, where="hub", revision="abc123", fingerprint="0123456789abcdef")
    return replace(record, base=base)


def test_the_hubs_reader_finds_base_library_and_figures(record: BundleRecord) -> None:
    text = model_card(on_the_hub(record, "meta-llama/Llama-2-7b-hf"), "org/llama2-7b-oe", has_diagram=True)
    data = ModelCard(text).data
    assert (data.base_model, data.library_name, data.license) == ("meta-llama/Llama-2-7b-hf", "peft", "llama2")
    assert {"calibration", "confidence", "raycalib"} <= set(data.tags)
    assert {(each.dataset_name, each.metric_type): each.metric_value for each in data.eval_results} == {
        ("test", "accuracy"): 0.5,
        ("test", "ece"): 0.05,
    }
    assert "| test | 100 | 0.500 (0.400 to 0.600) | 0.050 | – |" in text
    assert 'CalibratedModel.from_pretrained("org/llama2-7b-oe")' in text
    assert "vllm serve meta-llama/Llama-2-7b-hf --enable-lora --lora-modules calibrated=org/llama2-7b-oe" in text
    assert "![Reliability diagram](reliability.png)" in text


@pytest.mark.parametrize(
    ("rank", "flag"), [(0, ""), (8, ""), (16, ""), (17, " --max-lora-rank 32"), (300, " --max-lora-rank 320")]
)
def test_vllm_is_told_of_a_rank_beyond_its_default(record: BundleRecord, rank: int, flag: str) -> None:
    text = model_card(on_the_hub(record, "org/base"), "org/b", has_diagram=False, rank=rank)
    assert f"vllm serve org/base --enable-lora{flag} --lora-modules calibrated=org/b\n" in text


def test_the_rank_is_the_largest_of_the_adapters(tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    assert adapter_rank(place) == 0
    for pattern, rank in ((None, 8), ({}, 8), ({"v_proj": 64, "q_proj": 4}, 64)):
        place.write_json("adapter_config.json", {"r": 8, "rank_pattern": pattern})
        assert adapter_rank(place) == rank


def test_a_directory_of_one_machine_is_in_no_card(record: BundleRecord) -> None:
    text = model_card(record, "bundle", has_diagram=False)
    assert record.base.path not in text
    assert 'base="BASE_DIRECTORY"' in text
    assert "reliability.png" not in text
    assert ModelCard(text).data.base_model is None
    assert (ModelCard(text).data.license, licence_of(record)) == ("other", "other")


def test_what_has_no_figures_says_so(record: BundleRecord) -> None:
    methods = {"lora_prompt": replace(calibrated(), figures=())}
    text = model_card(replace(record, methods=methods), "bundle", has_diagram=False)
    assert "Figures: none are known of it." in text
    assert ModelCard(text).data.eval_results is None


def test_a_saved_bundle_has_its_card_and_diagram(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> None:
    p_correct = np.linspace(0.05, 0.95, 40)
    labels, names = (np.arange(40) % 3 > 0).astype(float), np.array(["x"] * 40)
    data = scored_columns(labels, p_correct, np.log(p_correct / (1 - p_correct)), names, names)
    row = {"model": "tiny", "style": "oe", "method": "lora_prompt", "split": "test", "n": 40} | reliability(data)
    png = reliability_png(row)
    assert png.startswith(b"\x89PNG")
    assert png == reliability_png(row), "the same data gives the same bytes"
    bundle = made_bundle(tiny_llama, tiny_model_dir, tmp_path, diagram=png)
    assert bundle.read_bytes(DIAGRAM) == png
    assert metadata_load(bundle.local_path / CARD)["library_name"] == "peft"
    again = made_bundle(tiny_llama, tiny_model_dir, tmp_path)
    assert DIAGRAM not in again.names()
