"""Named sweeps: a recipe of a run, and what is varied where no axis is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raycalib.cli import values_of
from raycalib.lm.names import EMBEDDED_ROOT, HUB_IDS


@dataclass(frozen=True)
class SweepRecipe:
    """A sweep to change by flags.

    Attributes:
        run: recipe of the run.
        axes: what is varied.
        flags: more flags, with their values.
        about: what a reader of the help has to know.
    """

    run: str
    axes: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]
    about: str


SWEEP_RECIPES: Mapping[str, SweepRecipe] = {
    "sweep12": SweepRecipe(
        "paper", ("kl_decay=0,0.1,0.5,1,2", "steps=1000,2500,5000"), {}, "the recipe paper, KL decay x steps"
    ),
    "sweep12-demo": SweepRecipe(
        "demo",
        ("kl_decay=0,1", "steps=80,160"),
        {"--models": tuple(HUB_IDS), "--model-root": (EMBEDDED_ROOT,), "--out": ("runs/sweep-demo",)},
        "the same combos on the small models that come with the package, four cells each; up to an hour on two cores",
    ),
}


def with_recipe(arguments: Sequence[str]) -> list[str]:
    """The arguments with a sweep's recipe written out; what is given beside it takes its place.

    >>> with_recipe(["--recipe", "sweep12", "--plan"])[:3]
    ['--recipe', 'paper', '--sweep.axes']
    """
    names = values_of(arguments, "--recipe")
    if not names or names[-1] not in SWEEP_RECIPES:
        return list(arguments)
    recipe = SWEEP_RECIPES[names[-1]]
    axes = () if any(values_of(arguments, flag) for flag in ("--axis", "--sweep.axes")) else recipe.axes
    more = {flag: values for flag, values in recipe.flags.items() if not values_of(arguments, flag)}
    whole = ["--recipe", recipe.run, *(["--sweep.axes", *axes] if axes else [])]
    return [*whole, *(text for flag, values in more.items() for text in (flag, *values)), *_without_recipe(arguments)]


def _without_recipe(arguments: Sequence[str]) -> list[str]:
    """The arguments without ``--recipe NAME`` and ``--recipe=NAME``."""
    kept, is_value = list[str](), False
    for text in arguments:
        if not is_value and text != "--recipe" and not text.startswith("--recipe="):
            kept.append(text)
        is_value = text == "--recipe"
    return kept
