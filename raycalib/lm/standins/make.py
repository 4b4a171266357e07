"""Trains one stand-in and writes its weights, its tokenizer and the record of how it was made."""

from dataclasses import replace
from pathlib import Path
import time

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.errors import ConfigError
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import EMBEDDED_ROOT, embedded_root, find_model
from raycalib.lm.standins.corpus import Corpus
from raycalib.lm.standins.examine import examine
from raycalib.lm.standins.pretrain import FURTHER, PretrainConfig, TrainingProgress, config_record, pretrain
from raycalib.lm.standins.shapes import SHAPES
from raycalib.lm.standins.tokenizer import train_tokenizer
from raycalib.storage import Location, git_commit, versions

EXAMINATION_SEED = 137


def make_standin(name: str, out: str | None = None, steps: int | None = None) -> dict[str, float]:
    """Trains the stand-in of a name; returns what it knows (accuracy by split and style).

    Args:
        name: one of the six; a variant that goes on from another one's weights finds these in ``out``, or else in the
            package.
        out: directory that gets one directory per name; None is the package's own.
        steps: optimizer steps; None is the default.

    Raises:
        ConfigError: an unknown name.
        ModelError: there are no weights to go on from.
    """
    if name not in SHAPES:
        raise ConfigError(f"names: {name!r} is unknown; allowed: {', '.join(SHAPES)}")
    shape = SHAPES[name]
    config = FURTHER if shape.tuned_from else PretrainConfig()
    if steps is not None:
        config = replace(config, steps=steps)
    target = (Path(out) if out else embedded_root()) / name.replace(":", "-")
    started = time.monotonic()
    if shape.tuned_from:
        start, tokenizer = _plain_one(shape.tuned_from, out)
    else:
        start, tokenizer = None, train_tokenizer(Corpus(config.corpus), config.corpus.seed)
    model = pretrain(shape, tokenizer, config, lambda progress: _say(name, progress, started), start)
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


def _plain_one(name: str, out: str | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that a variant goes on from, in float32, with its tokenizer."""
    is_beside = out is not None and (Path(out) / name.replace(":", "-")).is_dir()
    source = find_model(name, out if is_beside else EMBEDDED_ROOT)
    return load_causal_lm(source, "float32"), load_tokenizer(source)


def _say(name: str, progress: TrainingProgress, started: float) -> None:
    minutes = (time.monotonic() - started) / 60
    left = minutes * (progress.steps - progress.step) / progress.step
    print(
        f"  {name}: step {progress.step}/{progress.steps} · loss {progress.loss:.3f}, of answers "
        f"{progress.answer_loss:.3f} · {progress.tokens_per_s:,.0f} tok/s · {minutes:.0f} min, about {left:.0f} left",
        flush=True,
    )
