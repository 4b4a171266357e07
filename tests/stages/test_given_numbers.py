"""What methods that are given say, against plain transformers and PEFT written out here."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.adapters import load_adapter
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.logits import state_size
from raycalib.lm.names import embedded_root, find_model
from raycalib.lm.query_scoring import QueryScorer
from raycalib.stages.given.copies import keep_method
from raycalib.stages.given.methods import GivenMethod, given_methods
from raycalib.stages.predictions.prediction import sigmoid
from raycalib.storage import Location
from raycalib.tuning.probe_files import load_probe
from tests.stages.given import DOUBLED, PAPERS, doubled, papers_head, write_adapter, write_head, write_probe

ATOL = 1e-5
CUE = "\nAnswer:"
PLACES = ("France", "Peru", "a far country, and a long way from here, whose name nobody knows", "Japan")
ROWS = [
    (f"{'Hint: Rome is in Italy. ' * n}Question: What is the capital of {place}?", answer)
    for place in PLACES
    for n, answer in ((0, "Paris"), (1, "the old town of Lima"), (2, ""), (4, "Rome and Madrid,\nor Havana"))
]
QUERY = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"


class Plain(NamedTuple):
    """A model of transformers, of PEFT where an adapter is in place, and its tokenizer."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase

    @torch.no_grad()
    def p_correct(self) -> list[float]:
        """Softmax over the tokens of "i" and "ii" behind the query, row by row without padding."""
        found = []
        for context, answer in ROWS:
            text = f"{context}{CUE} {answer}".strip() + QUERY
            ids = self.tokenizer(text)["input_ids"]
            no, yes = (self.tokenizer(f"{text} {label}")["input_ids"][len(ids)] for label in ("i", "ii"))
            logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1]
            found.append(logits[[no, yes]].softmax(0)[1].item())
        return found

    @torch.no_grad()
    def states(self) -> Tensor:
        """(N, H) last hidden states at the last token of the answered text."""
        texts = [f"{context}{CUE} {answer}".strip() for context, answer in ROWS]
        return torch.stack(
            [
                self.model(**self.tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[-1][
                    0, -1
                ]
                for text in texts
            ]
        )


def plain(directory: Path, adapter: Path | None = None) -> Plain:
    """The model as transformers loads it, with an adapter of the paper's code as PEFT alone loads it, keys renamed."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    if adapter is None:
        return Plain(model.eval(), tokenizer)
    written = json.loads((adapter / "adapter_config.json").read_text())
    assert written["peft_type"] == "CALIBRATED_LORA"
    config = LoraConfig(
        r=written["r"],
        lora_alpha=written["lora_alpha"],
        target_modules=written["target_modules"],
        task_type="CAUSAL_LM",
    )
    adapted: PeftModel = get_peft_model(model, config)
    tensors = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    assert all(name.startswith(DOUBLED) for name in tensors)
    renamed = {name.replace(DOUBLED, "base_model.model.", 1): tensor for name, tensor in tensors.items()}
    assert not set_peft_model_state_dict(adapted, renamed).unexpected_keys
    return Plain(adapted.eval(), tokenizer)


def scored(directory: Path, method: GivenMethod) -> list[float]:
    """P(correct) as raycalib has it, in one batch and with padding."""
    source = find_model(str(directory))
    model = load_causal_lm(source, "float32")
    adapted = model if method.adapter is None else load_adapter(model, method.adapter, "given")
    if method.adapter is not None:
        adapted.set_adapter("given")
    scores = QueryScorer(model, load_tokenizer(source)).score(
        [context + CUE for context, _ in ROWS], [answer for _, answer in ROWS], [CUE] * len(ROWS)
    )
    assert scores.errors == [None] * len(ROWS)
    assert scores.n_cut == [0] * len(ROWS)
    logits = scores.logits
    if method.head is not None:
        logits = load_probe(method.head, method.head_name, state_size(model)).logits(scores.states)
    return [sigmoid(float(yes - no)) for no, yes in logits]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take minutes where others' work fills the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["tiny", "embedded"])
def directory(request: pytest.FixtureRequest, tiny_model_dir: Path) -> Path:
    return tiny_model_dir if request.param == "tiny" else embedded_root() / "llama2-7b"


def width(directory: Path) -> int:
    size: int = json.loads((directory / "config.json").read_text())["hidden_size"]
    return size


def papers_adapter(directory: Path, place: Path) -> Path:
    return write_adapter(place, AutoModelForCausalLM.from_pretrained(directory), 5, doubled, **PAPERS)


def only(adapters: list[Path], probes: list[Path], run: Path) -> GivenMethod:
    """The one method, read from where a run keeps it."""
    places = [[str(place) for place in given] for given in (adapters, probes)]
    (method,) = given_methods(*places, [], model="llama2:7b", style="oe")
    return keep_method(method, Location(str(run)))


def check(found: list[float], expected: list[float], other: list[float]) -> None:
    assert len(ROWS) == 16
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    # Else the comparison would say little: what was loaded changes what is said.
    assert np.abs(np.subtract(expected, other)).max() > 0.01
    assert np.ptp(expected) > 0.01


def test_the_rows_have_different_lengths() -> None:
    assert len({len(context + answer) for context, answer in ROWS}) == len(ROWS)


def test_a_released_adapter_says_what_plain_peft_says(directory: Path, tmp_path: Path) -> None:
    adapter = papers_adapter(directory, tmp_path / "ct-oe")
    method = only([adapter], [], tmp_path / "run")
    assert method.kind == "query"
    check(scored(directory, method), plain(directory, adapter).p_correct(), plain(directory).p_correct())


def softmax(layers: Callable[[Tensor], Tensor], states: Tensor) -> list[float]:
    with torch.no_grad():
        found: list[float] = layers(states).softmax(1)[:, 1].tolist()
    return found


def test_an_adapter_with_a_classifier_says_what_plain_peft_says(directory: Path, tmp_path: Path) -> None:
    adapter = write_head(papers_adapter(directory, tmp_path / "lora"), width=width(directory))
    method = only([adapter], [], tmp_path / "run")
    assert method.kind == "head"
    head = papers_head(width(directory))
    expected, base = (softmax(head, each.states()) for each in (plain(directory, adapter), plain(directory)))
    check(scored(directory, method), expected, base)


def test_a_head_of_the_papers_code_says_what_plain_transformers_says(directory: Path, tmp_path: Path) -> None:
    method = only([], [write_head(tmp_path / "probe", width=width(directory))], tmp_path / "run")
    assert method.kind == "probe"
    states = plain(directory).states()
    expected = softmax(papers_head(width(directory)), states)
    check(scored(directory, method), expected, softmax(papers_head(width(directory), seed=1), states))


def test_a_probe_of_raycalib_standardizes_first(directory: Path, tmp_path: Path) -> None:
    place = write_probe(tmp_path / "probe", width=width(directory))
    method = only([], [place / "probe.safetensors"], tmp_path / "run")
    states, layers = plain(directory).states(), papers_head(width(directory))
    saved = safetensors.torch.load_file(place / "probe.safetensors")
    expected = softmax(layers, (states - saved["mean"]) / saved["scale"])
    check(scored(directory, method), expected, softmax(layers, states))
