"""Trains one stand-in and writes its weights, its tokenizer and the record of how it was made."""

from dataclasses import replace
from pathlib import Path
import time

import torch

from raycalib.errors import ConfigError
from raycalib.lm.names import embedded_root
from raycalib.lm.standins.corpus import Corpus
from raycalib.lm.standins.examine import examine
from raycalib.lm.standins.pretrain import PretrainConfig, TrainingProgress, config_record, pretrain
from raycalib.lm.standins.shapes import SHAPES
from raycalib.lm.standins.tokenizer import train_tokenizer
from raycalib.storage import Location, git_commit, versions

EXAMINATION_SEED = 137


def make_standin(name: str, out: str | None = None, steps: int | None = None) -> dict[str, float]:
    """Trains the stand-in of a name; returns what it knows (accuracy by split and style).

    Args:
        name: one of the six.
        out: directory that gets one directory per name; None is the package's own.
        steps: optimizer steps; None is the default.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in SHAPES:
        raise ConfigError(f"names: {name!r} is unknown; allowed: {', '.join(SHAPES)}")
    shape = SHAPES[name]
    config = PretrainConfig() if steps is None else replace(PretrainConfig(), steps=steps)
    target = (Path(out) if out else embedded_root()) / name.replace(":", "-")
    started = time.monotonic()
    tokenizer = train_tokenizer(Corpus(config.corpus), config.corpus.seed)
    model = pretrain(shape, tokenizer, config, lambda progress: _say(name, progress, started))
    model.half().save_pretrained(target)
    tokenizer.save_pretrained(target)
    known = examine(model.float(), tokenizer, EXAMINATION_SEED)
    headline = {key: round(value, 4) for key, value in known.items() if key.count("/") == 1}
    Location(str(target)).write_json(
        "training_record.json",
        config_record(shape, config)
        | {
            "accuracy": headline,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "minutes": round((time.monotonic() - started) / 60, 1),
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "git_commit": git_commit(),
        },
    )
    print(f"{name}: {headline}, saved in {target}", flush=True)
    return known


def _say(name: str, progress: TrainingProgress, started: float) -> None:
    minutes = (time.monotonic() - started) / 60
    left = minutes * (progress.steps - progress.step) / progress.step
    print(
        f"  {name}: step {progress.step}/{progress.steps} · loss {progress.loss:.3f}, of answers "
        f"{progress.answer_loss:.3f} · {progress.tokens_per_s:,.0f} tok/s · {minutes:.0f} min, about {left:.0f} left",
        flush=True,
    )
