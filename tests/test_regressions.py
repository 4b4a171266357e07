"""Bugs that were found once."""

import math
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
import torch

from raycalib.cli import pipeline_config
from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError, ModelError
from raycalib.evaluation.baselines import answer_log_odds
from raycalib.lm.label_tokens import letter_tokens
from raycalib.sources import SourceSettings
from raycalib.storage import Location
from raycalib.tuning.checkpoint import TrainingState, load_newest, save_checkpoint
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.temperature import fit_temperature


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError):
        PipelineConfig(models=("llama2:7b", "llama2:7b"))


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ConfigError):
        PipelineConfig(dtype="int7")


@pytest.mark.parametrize("field", ["lr", "max_grad_norm", "kl_decay", "weight_decay"])
def test_nan_is_refused(field: str) -> None:
    with pytest.raises(ConfigError):
        TuningSettings(**{field: math.nan})


def test_limits_of_an_unknown_split_are_refused() -> None:
    with pytest.raises(ConfigError):
        SourceSettings(limits={"tset": 5})


def test_cli_keeps_other_letters() -> None:
    with pytest.raises(ConfigError, match="é"):
        pipeline_config(["--grader", "é"], "A job.")


def test_temperature_does_not_warn() -> None:
    code = (
        "import numpy as np; from raycalib.tuning.temperature import fit_temperature as f; "
        "f(np.array([1.0]), np.array([1]))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.03, 0.01, 0.003])
def test_temperature_of_small_margins(scale: float) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 200)
    labels = (rng.random(200) < 1 / (1 + np.exp(-6 * base))).astype(int)
    fitted = fit_temperature(base * scale, labels)
    grid = np.linspace(-6, 6, 12001)
    nll = [np.mean(np.logaddexp(0, base * scale * math.exp(-t)) - labels * base * scale * math.exp(-t)) for t in grid]
    print(scale, fitted, grid[int(np.argmin(nll))], min(nll))
    assert fitted.nll_after <= min(nll) + 1e-6


def test_a_new_run_in_a_place_with_older_checkpoints_keeps_its_own(tmp_path: Path) -> None:
    place = Location(str(tmp_path))

    def state(step: int) -> TrainingState:
        return TrainingState(step=step, best_step=0, best_nll=None, history=(), tensors={"a": torch.zeros(1)})

    save_checkpoint(place, state(90), "old")
    save_checkpoint(place, state(100), "old")
    save_checkpoint(place, state(10), "new")
    assert load_newest(place, "new") is not None


def test_a_corrupt_checkpoint_is_passed_over_and_said(tmp_path: Path) -> None:
    (Location(str(tmp_path)) / "step-00000001").write_bytes("state.json", b"{")
    said: list[str] = []
    assert load_newest(Location(str(tmp_path)), "new", said.append) is None
    assert "step-00000001 is damaged" in said[0]


def test_unlikely_answers_are_still_ranked() -> None:
    likely, unlikely = (answer_log_odds({"log_likelihood": x}) for x in (-15.0, -40.0))
    assert likely > unlikely


def test_letters_with_the_same_token_are_refused(tiny_llama) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    chars = sorted(set("Question:\n2 + 2?\nAnswer: abcd"))
    tok = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(chars)}, merges=[]))
    )
    with pytest.raises(ModelError):
        print(letter_tokens(tok, "abcd"))


def test_the_token_that_holds_the_line_break_counts_where_it_holds_text() -> None:
    """'Paris' + '.\\n' (one token, as in Llama 3 and Qwen vocabularies): the answer is 'Paris.', 2 tokens."""
    from raycalib.lm.engines.answer_end import GrowingAnswer, TokenizerSpelling

    class Tok:
        eos_token_id = 99

        def decode(self, ids, skip_special_tokens=False):
            return "".join({1: "Paris", 2: ".\n"}[i] for i in ids)

    d = GrowingAnswer(TokenizerSpelling(Tok(), frozenset({Tok().eos_token_id})))
    d.add(1, -1.0)
    d.add(2, -2.0)
    assert d.result().n_answer_tokens == 2
