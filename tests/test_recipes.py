import pytest

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.lm.names import HUB_IDS
from raycalib.recipes import RECIPES, recipe
from raycalib.sources.facts.splits import SPLITS


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_and_says_what_it_is(name: str) -> None:
    config = recipe(name)
    assert isinstance(config, PipelineConfig)
    assert config == recipe(name)
    assert RECIPES[name].__name__ == name
    assert (RECIPES[name].__doc__ or "").strip()


def test_every_recipe_has_an_out_of_its_own() -> None:
    assert {recipe(name).out for name in RECIPES} == {f"runs/{name}" for name in RECIPES}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_models_and_splits_that_exist(name: str) -> None:
    config = recipe(name)
    assert set(config.models) <= set(HUB_IDS)
    assert set(config.source.limits) <= set(SPLITS)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_evaluates_and_checkpoints_before_its_end(name: str) -> None:
    tuning = recipe(name).tuning
    assert tuning.eval_every < tuning.steps
    assert tuning.checkpoint_every < tuning.steps
    assert tuning.micro_batch_size <= tuning.global_batch_size


def test_the_demo_needs_no_network() -> None:
    for name in ("demo", "smoke"):
        assert (recipe(name).model_root, recipe(name).source.name) == ("embedded", "facts")


def test_the_paper_has_twelve_combos_and_its_settings() -> None:
    config = recipe("paper")
    assert len(config.models) * len(config.styles) == 12
    assert (config.tuning.steps, config.tuning.lr, config.tuning.lora.rank, config.seed) == (5000, 1e-4, 8, 137)
    assert (config.ray.gpus_per_worker, config.ray.train_workers) == (1, 0)  # a GPU for each combo, or several
    assert config.grader == "substring"
    assert config.source.name == "all_20k_uniform+eval:mmlu"


def test_ones_own_model_is_tuned_as_the_papers_are() -> None:
    own, paper = recipe("own"), recipe("paper")
    assert own.tuning == paper.tuning
    lora = own.tuning.lora
    assert (lora.rank, lora.alpha, lora.dropout, lora.targets) == (8, 32.0, 0.1, ("q_proj", "v_proj"))
    assert (own.tuning.lr, own.tuning.steps, own.seed, own.model_root) == (1e-4, 5000, 137, None)
    assert own.ray.train_workers == 0  # as many as there are GPUs for it


def test_an_unknown_name_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="recipe: 'nope' is unknown; allowed: demo, smoke, paper"):
        recipe("nope")
