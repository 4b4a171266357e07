"""An evaluation job begins with the settings that the run in its directory was made with."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from raycalib.cli import pipeline_config
from raycalib.errors import ConfigError
from raycalib.recipes import RECIPES, recipe
from raycalib.recorded import RUN_RECORD, recorded_config
from raycalib.storage import Location


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_run_wrote_is_its_configuration_again(name: str, tmp_path: Path) -> None:
    place, config = Location(str(tmp_path)), recipe(name)
    place.write_json(RUN_RECORD, asdict(config))
    assert recorded_config(place) == config


def test_what_a_job_says_for_itself_is_not_taken_over(tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    ran = replace(
        recipe("demo"),
        evaluation_sets=("mmlu",),
        skip=("mistral:7b",),
        adapters=("a",),
        export="csv",
        at_once=3,
        ray=replace(recipe("demo").ray, address="head:6379", temp_dir="/ray"),
    )
    place.write_json(RUN_RECORD, asdict(ran))
    assert recorded_config(place) == recipe("demo")


def test_flags_are_laid_over_it_and_a_recipe_takes_its_place(tmp_path: Path) -> None:
    recorded = replace(recipe("smoke"), grader="contains", seed=9)
    config = pipeline_config(["--eval", "mmlu", "--source.limits.test", "5"], "A job.", recorded)
    assert (config.grader, config.seed, config.rows_per_shard) == ("contains", 9, 32)
    assert config.source.limits["test"] == 5
    assert config.source.limits["train"] == 192
    assert pipeline_config(["--recipe", "demo"], "A job.", recorded) == recipe("demo")


def test_a_record_of_another_version_or_none(tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    assert recorded_config(place) is None
    record = asdict(recipe("demo")) | {"of_a_later_version": 1}
    place.write_json(RUN_RECORD, record)
    assert recorded_config(place) == recipe("demo")
    for damage in ({"styles": ["ode"]}, {"source": 3}, {"seed": -1}):
        place.write_json(RUN_RECORD, record | damage)
        with pytest.raises(
            ConfigError, match=r"config\.json cannot be used as the settings of the run there .*--recipe"
        ):
            recorded_config(place)
