from pathlib import Path

import pytest

from raycalib.errors import ConfigError
from raycalib.lm.names import HUB_IDS
from raycalib.sources.given.places import parse_place
from raycalib.sources.given.released import BASES, released_dataset


def test_the_released_sets_are_of_the_papers_six_models_under_their_weights_names() -> None:
    assert {name: hub_id.rpartition("/")[2] for name, hub_id in HUB_IDS.items()} == BASES


def test_a_released_set_is_named_by_model_and_style() -> None:
    place = parse_place("paper:llama2:13b-chat/choice")
    assert (place.kind, place.model, place.style) == ("paper", "llama2:13b-chat", "choice")
    assert place.hub_id == released_dataset("llama2:13b-chat", "choice")
    assert place.hub_id == "calibration-tuning/Llama-2-13b-chat-hf-20k-choice"
    assert (place.label, place.default_task) == ("paper:llama2:13b-chat/choice", "Llama-2-13b-chat-hf-20k-choice")


@pytest.mark.parametrize("text", ["paper:llama2:70b/oe", "paper:llama2:13b-chat", "paper:llama2:13b-chat/essay"])
def test_an_unknown_released_set_is_one_line_with_what_is_allowed(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"none of the released sets; write paper:MODEL/STYLE .*mistral:7b-instruct.*"
    ):
        parse_place(text)


@pytest.mark.parametrize("text", ["", " ", "s3://bucket/rows.csv", "papers:x/oe", "offline:", "file:"])
def test_an_unknown_form_is_one_line_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_place(text)
    message = str(caught.value)
    assert "\n" not in message
    for form in (
        ".parquet",
        ".csv",
        ".jsonl",
        "directory",
        "hub:ORG/NAME[:CONFIG]",
        "offline:DIR",
        "paper:MODEL/STYLE",
    ):
        assert form in message


def test_a_dataset_on_the_hub_needs_both_parts_of_its_name() -> None:
    place = parse_place("hub:org/name:config")
    assert (place.kind, place.hub_id, place.config) == ("hub", "org/name", "config")
    with pytest.raises(ConfigError, match="write hub:ORG/NAME or hub:ORG/NAME:CONFIG"):
        parse_place("hub:name")


def test_files_and_directories_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "of.csv").mkdir()
    (tmp_path / "a:b.csv").touch()
    assert parse_place("mine.csv").kind == "file"
    assert parse_place("file:mine.jsonl").path == "mine.jsonl"
    assert parse_place(str(tmp_path)).kind == "directory"
    assert parse_place(str(tmp_path / "of.csv")).kind == "directory"
    assert parse_place(str(tmp_path / "a:b.csv")).kind == "file"
    assert parse_place("x/mine.parquet").label == "file:mine.parquet"
    assert parse_place(f"offline:{tmp_path}/run/").label == "offline:run"
