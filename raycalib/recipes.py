"""Named full configurations: a run chooses one and overrides little."""

from collections.abc import Callable, Collection

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, LoraSettings
from raycalib.lm.names import EMBEDDED_ROOT, HUB_IDS
from raycalib.sources import SourceSettings
from raycalib.sources.parts import PAPER_QUERY_HEADER
from raycalib.stages.settings import RaySettings
from raycalib.tuning.plan_settings import PlanSettings
from raycalib.tuning.settings import ProbeSettings, TuningSettings

PAPER_EVAL_TOKENS = 700
"""Assumed of MMLU's rows, which five few-shot examples make long."""


def demo() -> PipelineConfig:
    """Two small stand-ins on embedded facts, both styles: minutes on two cores, no network."""
    return PipelineConfig(
        out="runs/demo",
        models=("llama2:7b", "mistral:7b"),
        model_root=EMBEDDED_ROOT,
        max_new_tokens=16,
        tuning=TuningSettings(
            steps=240,
            global_batch_size=32,
            micro_batch_size=16,
            lr=4e-3,
            warmup_steps=10,
            weight_decay=0.01,
            max_tokens=512,
            eval_every=50,
            checkpoint_every=50,
            lora=LoraSettings(rank=16, alpha=32.0, dropout=0.0, targets=ALL_LINEAR_TARGETS),
        ),
        probe=ProbeSettings(steps=600),
    )


def smoke() -> PipelineConfig:
    """The demo in miniature, to see that everything runs: one model, few rows, few steps."""
    limits = {"train": 192, "val_select": 64, "val_calibrate": 64, "test": 96, "heldout_families": 64}
    return PipelineConfig(
        out="runs/smoke",
        models=("llama2:7b",),
        model_root=EMBEDDED_ROOT,
        source=SourceSettings(limits=limits),
        max_new_tokens=12,
        rows_per_shard=32,
        n_resamples=100,
        tuning=TuningSettings(
            steps=24,
            global_batch_size=16,
            micro_batch_size=8,
            lr=1e-3,
            max_tokens=512,
            eval_every=8,
            checkpoint_every=4,
            lora=LoraSettings(rank=4, dropout=0.0, targets=ALL_LINEAR_TARGETS),
        ),
        probe=ProbeSettings(steps=100, eval_every=25),
    )


def paper() -> PipelineConfig:
    """The paper's twelve combos, question mixture and tuning settings on GPUs, evaluated on MMLU."""
    return PipelineConfig(
        out="runs/paper",
        models=tuple(HUB_IDS),
        source=SourceSettings(name="all_20k_uniform+eval:mmlu"),
        query_header=PAPER_QUERY_HEADER,
        grader="substring",
        max_new_tokens=100,
        tuning=TuningSettings(),
        planning=PlanSettings(eval_tokens_per_row=PAPER_EVAL_TOKENS),
        ray=RaySettings(gpus_per_worker=1.0),
    )


def own() -> PipelineConfig:
    """Models of one's own, tuned by the paper's settings on the GPUs that are there."""
    return PipelineConfig(
        out="runs/own",
        max_new_tokens=64,
        tuning=TuningSettings(),
    )


RECIPES: dict[str, Callable[[], PipelineConfig]] = {"demo": demo, "smoke": smoke, "paper": paper, "own": own}
EMBEDDED_MODELS = frozenset(demo().models)


def recipe_for(models: Collection[str], model_root: str | None) -> str:
    """The recipe of a run that names none: the demo's settings serve the embedded models alone.

    Args:
        models: as they are named; none are the demo's.
        model_root: as it is named; None is the demo's, which comes with the package, for the demo's two models.

    >>> recipe_for([], None), recipe_for(["llama2:7b"], "embedded"), recipe_for(["Qwen/Qwen3-8B"], None)
    ('demo', 'demo', 'own')
    >>> recipe_for(["llama2:7b"], "/models"), recipe_for(["llama2:13b"], None), recipe_for(["llama2:13b"], "embedded")
    ('own', 'own', 'demo')
    """
    if model_root == EMBEDDED_ROOT:
        return "demo" if set(HUB_IDS).issuperset(models) else "own"
    return "demo" if model_root is None and EMBEDDED_MODELS.issuperset(models) else "own"


def recipe(name: str) -> PipelineConfig:
    """The configuration of a recipe.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in RECIPES:
        raise ConfigError(f"recipe: {name!r} is unknown; allowed: {', '.join(RECIPES)}")
    return RECIPES[name]()
