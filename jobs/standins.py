"""Trains the small stand-in models on the embedded facts and writes them where the package finds them.

python jobs/standins.py                           # the demo's two, 20 to 50 minutes each on two cores
python jobs/standins.py --names llama2:13b        # another of the six
python jobs/standins.py --names llama2:13b-chat   # tuned further on the plain one's weights, a few minutes
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raycalib.cli import run_job, simple_config


@dataclass(frozen=True, kw_only=True)
class StandinsConfig:
    """Which stand-ins to train.

    Attributes:
        names: of the six names.
        out: directory of the weights; None is the package's own.
        steps: optimizer steps; None is the number that the committed weights were trained with.
    """

    names: tuple[str, ...] = ("llama2:7b", "mistral:7b")
    out: str | None = None
    steps: int | None = None


def main(arguments: Sequence[str]) -> None:
    """Trains and saves the stand-ins one after the other."""
    config = simple_config(StandinsConfig, arguments, "Trains stand-in models on the embedded facts.")
    from raycalib.lm.standins.make import make_standin

    for name in config.names:
        make_standin(name, config.out, config.steps)


def command() -> None:
    """The job as a program."""
    run_job(main)


if __name__ == "__main__":
    command()
