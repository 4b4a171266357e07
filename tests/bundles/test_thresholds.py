"""Certificates and what is said of a confidence, on calibration rows written out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raycalib.bundles.answer import Answer
from raycalib.bundles.bundle import Bundle, open_bundle
from raycalib.bundles.record import read_record
from raycalib.bundles.spoken import spoken
from raycalib.bundles.thresholds import (
    CalibrationRows,
    calibration_rows,
    certify,
    explain_lines,
    keep_certificate,
    kept_certificates,
)
from raycalib.errors import ConfigError
from raycalib.metrics import certified_threshold
from raycalib.storage import Location
from tests.bundles.bundles import TEMPERATURE, TinyLlama, calibrated, made_bundle

SURE = np.linspace(4, -4, 400)
RIGHT = (np.arange(400) < 200).astype(np.int64)


@pytest.fixture
def bundle(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> Bundle:
    return open_bundle(made_bundle(tiny_llama, tiny_model_dir, tmp_path, rows=(SURE, RIGHT)).uri)


def test_a_certificate_is_of_the_calibrated_rows_and_is_kept(bundle: Bundle) -> None:
    found = certify(bundle, "lora_prompt", 0.1)
    confidence = 1 / (1 + np.exp(-SURE / TEMPERATURE.value))
    expected = certified_threshold(confidence, RIGHT, 0.1)
    assert (found.threshold, found.n, found.n_kept, found.n_wrong) == pytest.approx(
        (expected.value, 400, expected.n_kept, expected.n_wrong)
    )
    assert found.n_kept > 190
    assert keep_certificate(bundle, found)
    assert list(read_record(bundle.place).certificates) == [found]
    again = open_bundle(bundle.place.uri)
    assert certify(again, "lora_prompt", 0.1) == found
    other = certify(again, "lora_prompt", 0.2)
    assert keep_certificate(again, other)
    assert list(read_record(bundle.place).certificates) == [found, other]


def test_certificates_hold_on_where_a_bundle_is_written_anew_on_the_same_rows(bundle: Bundle, tmp_path: Path) -> None:
    found = certify(bundle, "probe", 0.1)
    assert keep_certificate(bundle, found)
    methods = bundle.record.methods
    assert kept_certificates(bundle.place, methods) == [found]
    assert kept_certificates(bundle.place, {"lora_prompt": methods["lora_prompt"]}) == []
    others = replace(methods["probe"], calibration=replace(methods["probe"].calibration, n=41))
    assert kept_certificates(bundle.place, {"probe": others}) == []
    assert kept_certificates(Location(str(tmp_path / "none")), methods) == []
    (bundle.place.local_path / "raycalib.json").write_text("{")
    assert kept_certificates(bundle.place, methods) == []


def test_the_hubs_cache_is_not_written_to(bundle: Bundle) -> None:
    fetched = Bundle(bundle.place, bundle.record, is_fetched=True)
    assert not keep_certificate(fetched, certify(fetched, "lora_prompt", 0.1))
    assert not read_record(bundle.place).certificates


def test_what_a_threshold_keeps_is_explained(bundle: Bundle) -> None:
    lines = explain_lines(bundle, "probe")
    assert lines[0] == "probe: 400 calibration answers, 200 right"
    (half,) = (line.split() for line in lines if line.split()[1:2] == ["50%"])
    assert half[2] == "0.0%"
    (whole,) = (line.split() for line in lines if line.split()[1:2] == ["100%"])
    assert whole[2] == "50.0%"
    assert any(line.strip().startswith("1%    no threshold can promise that") for line in lines)
    assert any(line.strip().startswith("10%    above ") and line.endswith("% of answers are kept") for line in lines)


def test_nothing_is_a_threshold_where_nothing_is_calibrated(
    tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    methods = {"lora_prompt": calibrated("all labels are 1")}
    found = open_bundle(made_bundle(tiny_llama, tiny_model_dir, tmp_path, methods=methods).uri)
    with pytest.raises(ConfigError, match=r"not calibrated \(all labels are 1\)"):
        calibration_rows(found, "lora_prompt")


@pytest.mark.parametrize(("name", "value"), [("max_risk", 0.0), ("max_risk", 1.0), ("delta", 1.5)])
def test_a_share_out_of_its_range_is_refused(bundle: Bundle, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .* is not allowed"):
        certify(bundle, "probe", **({"max_risk": 0.1} | {name: value}))


ROWS = CalibrationRows(np.repeat([0.2, 0.7], 100), np.concatenate([np.zeros(100), np.arange(100) % 10 < 7]))


@pytest.mark.parametrize(
    ("p_correct", "threshold", "lines"),
    [
        (0.71, None, ["Paris", "  71 % likely to be right: of answers like this, 7 in 10 were right (28 of 40)"]),
        (0.71, 0.7, ["Paris", "  71 % likely to be right: of answers like this, 7 in 10 were right (28 of 40)"]),
        (
            0.1,
            0.7,
            [
                "no answer: it is less likely to be right than is asked for",
                "  10 % likely to be right, asked for are 70 %: of answers like this, none were right (0 of 40)",
            ],
        ),
        (None, None, ["Paris", "  how likely it is to be right is not known: it was cut"]),
        (None, 0.7, ["no answer", "  how likely it is to be right is not known: it was cut"]),
    ],
)
def test_an_answer_is_said_with_what_its_number_means(
    p_correct: float | None, threshold: float | None, lines: list[str]
) -> None:
    answer = Answer(text="Paris", p_correct=p_correct, reason="" if p_correct else "it was cut")
    assert spoken(answer, ROWS, threshold) == lines


@pytest.mark.parametrize(("p_correct", "said"), [(0.001, "less than 1 %"), (0.9999, "more than 99 %")])
def test_nothing_is_said_to_be_certain(p_correct: float, said: str) -> None:
    assert spoken(Answer(text="x", p_correct=p_correct), None, None)[1] == f"  {said} likely to be right"


def test_what_a_model_says_does_not_steer_a_terminal() -> None:
    assert spoken(Answer(text="\x1b[2J", p_correct=0.5), None, None)[0] == "\\x1b[2J"
