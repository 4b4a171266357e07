"""The comparison with losses.json, on a file like it that is made in the plain way from the tests' tiny model."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors.torch
import torch
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.adapter_files import PREFIX
from raycalib.lm.adapter_names import ADAPTER_WEIGHTS
from raycalib.lm.adapters import attach_lora, save_adapter
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location
from tests.golden.batch_losses import LM_LOSS, SMOOTHING, WRONG_MASK
from tests.golden.collator import TOO_LONG
from tests.golden.losses import ADAPTER, HEAD, MODEL_FILES, NO_MODEL, SAVED_ADAPTER, compare_losses
from tests.golden.plain_tuning import PlainTuning, classified, result_of, trajectory_of
from tests.golden.probe_head import JOINT
from tests.golden.tally import Tally

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


def fields(place: str, target: str, output: str, query_label: int) -> dict[str, Any]:
    context = f"Question: What is the capital of {place}?"
    return {
        "context": context,
        "target_prompt": "\nAnswer:",
        "target": target,
        "output": output,
        "query_label": query_label,
    }


# Of the first batch the paper's mask takes the wrong tokens, of the second, a batch of one, the right ones.
BATCHES = [
    [fields("Peru", "Lima or another city", "Rome", 0), fields("a country far away in the south", "Rome", "Rome", 1)],
    [fields("Japan", "Tokyo", "Tokyo", 1)],
]


class Golden(NamedTuple):
    """A golden file's content and the directory with its models."""

    content: dict[str, Any]
    directory: Path


@pytest.fixture(scope="module")
def golden(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    directory = tmp_path_factory.mktemp("golden")
    model, tokenizer = (copy.deepcopy(part) for part in tiny_llama)
    tokenizer.pad_token = tokenizer.eos_token
    model.save_pretrained(directory / "tiny_llama")
    tokenizer.save_pretrained(directory / "tiny_llama")
    generator = torch.Generator().manual_seed(0)
    tuned = attach_lora(model, LoraSettings(rank=2, dropout=0.0), seed=0).eval()
    with torch.no_grad():
        for name, part in tuned.named_parameters():
            if "lora_B" in name:
                part.copy_(0.2 * torch.randn(part.shape, generator=generator))
    for name in (ADAPTER, SAVED_ADAPTER):
        save_adapter(tuned, Location(str(directory / name)))
    tensors = safetensors.torch.load_file(directory / ADAPTER / ADAPTER_WEIGHTS)
    saved = tensors | {PREFIX + key: tensor.clone() for key, tensor in tensors.items()}
    safetensors.torch.save_file(saved, directory / SAVED_ADAPTER / ADAPTER_WEIGHTS)
    head = head_of(model.config.hidden_size)
    safetensors.torch.save_file(head.state_dict(), directory / HEAD)
    plain = PlainTuning(tuned, tokenizer, query_label_tokens(tokenizer))
    return Golden(content_of(plain, head, sorted(saved)), directory)


def head_of(hidden_size: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Linear(hidden_size, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()),
            *(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2)),
        )


def content_of(plain: PlainTuning, head: nn.Sequential, keys: list[str]) -> dict[str, Any]:
    tokenizer = plain.tokenizer
    answer, query = (
        classified(plain, head, adapter, 0, BATCHES[0], with_query)
        for adapter, with_query in (("_ref", False), ("default", True))
    )
    joint = classified(plain, head, "default", 0, BATCHES[0], False)
    return {
        "about": "made by a test",
        "tokenizer_note": {
            "vocab": len(tokenizer),
            **{name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "unk")},
            "ids": {"▁ii": plain.labels[1]},
            "query_token_vec": list(plain.labels),
        },
        "batches": BATCHES,
        "results": [result_of(plain, number, batch) for number, batch in enumerate(BATCHES)],
        "adamw_trajectory": trajectory_of(plain, BATCHES, 3),
        "collator_edge_cases": collated(tokenizer),
        "classifier": {
            "results": [answer, query],
            "with_lora_batch0": {name: joint[name] for name in ("class_loss", "head_grad_l2")}
            | {"grad_l2_default_adapter": 1.0},
        },
        "reference_save": {"keys": keys, "reload_max_abs_logit_diff": 0.0},
        "requires_grad_after_kl": {"default_trainable": True, "ref_trainable": False},
    }


def collated(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """A batch with an empty target, of which the paper keeps all, and a text that it cuts to eight tokens."""
    short, long = fields("Peru", "", "", 0), fields("Peru", "Lima", "", 0)
    asked, answered = (
        len(tokenizer(f"{one['context']}\nAnswer: {one['target']}".strip())["input_ids"]) for one in (short, long)
    )
    empty = {"case": "empty", "rows": [short], "model_max_length": 4096, "width": asked, "nonpad": [asked]}
    empty |= {"labels_kept": [asked], "labels_kept_on_pad_positions": [0], "true_target_tokens": [0]}
    cut = {"case": "cut", "rows": [long], "model_max_length": 8, "width": 8, "nonpad": [8], "labels_kept": [8]}
    cut |= {"labels_kept_on_pad_positions": [0], "true_target_tokens": [answered - asked]}
    decoded = tokenizer.decode(tokenizer(long["context"])["input_ids"][:8])
    return {"cases": [empty, cut], "truncation_of_query": {"model_max_length": 8, "decoded": decoded}}


def compared(content: dict[str, Any], directory: Path) -> Tally:
    tally = Tally()
    compare_losses(content, directory, tally)
    return tally


def test_the_plain_way_gives_the_same(golden: Golden) -> None:
    tally = compared(golden.content, golden.directory)
    assert tally.differences == []
    assert tally.compared > 100
    assert set(tally.explained) == {WRONG_MASK, TOO_LONG}
    n_totals = sum(len(result["total"]) for result in golden.content["results"])
    assert tally.not_compared == {
        LM_LOSS: n_totals,
        SMOOTHING: len(BATCHES),
        JOINT: 1,
        "losses.json: remarks on how the file was made": 1,
    }


FIRST, ALONE = ("results", 0), ("results", 1)
RESULTS, TOTAL = "losses.json/results", "losses.json/results/0/total/forward_kl/0.5"
STEPS = "losses.json/adamw_trajectory"
EDGE, CLASSIFIER = "losses.json/collator_edge_cases", "losses.json/classifier"


CHANGES = [
    ((*FIRST, "query_input_ids", 1, -1), 7, [f"{RESULTS}/0/query_input_ids"]),
    ((*FIRST, "true_target_tokens_per_row", 0), 9, [f"{RESULTS}/0/true_target_tokens_per_row"]),
    ((*FIRST, "q_logits", 1, 0), 1.01, [f"{RESULTS}/0/q_logits"]),
    ((*FIRST, "q_logits_ref_adapter(base)", 0, 1), 1.01, [f"{RESULTS}/0/q_logits/base"]),
    ((*FIRST, "p_yes", 1), 1.001, [f"{RESULTS}/0/p_yes"]),
    ((*FIRST, "q_loss_log_temperature_0.3"), 1.001, [f"{RESULTS}/0/q_loss_log_temperature_0.3"]),
    ((*FIRST, "kl_loss", "jsd"), 1.001, [f"{RESULTS}/0/paper_mask/kl_loss/jsd"]),
    ((*ALONE, "kl_loss", "jsd"), 1.001, [f"{RESULTS}/1/kl_loss/jsd", f"{RESULTS}/1/paper_mask/kl_loss/jsd"]),
    ((*FIRST, "kl_loss_batch_of_1_each", "reverse_kl", "per_example", 1), 1.001, [f"{RESULTS}/0/reverse_kl/per_"]),
    ((*FIRST, "total", 2, "loss"), 1.001, [f"{TOTAL}/paper_mask/loss"]),
    ((*FIRST, "total", 2, "grad_l2_default_adapter"), 1.01, [f"{TOTAL}/paper_mask/loss: gradient"]),
    ((*FIRST, "grad_per_param_l2_jsd_1.0", "layers.1.self_attn.v_proj.lora_B.default.weight"), 1.01,
     [f"{RESULTS}/0/paper_mask/gradient/1.self_attn.v_proj.lora_B.default.weight"]),
    (("adamw_trajectory", "steps", 2, "loss"), 1.001, [f"{STEPS}/paper_mask/steps/2/loss"]),
    (("adamw_trajectory", "steps", 2, "grad_l2"), 1.01, [f"{STEPS}/paper_mask/steps/2/loss: gradient"]),
    (("classifier", "results", 1, "class_logits", 0, 0), 1.01, [f"{CLASSIFIER}/default/0/query/class_logits"]),
    (("classifier", "results", 0, "features", 1, 5), 1.01, [f"{CLASSIFIER}/_ref/0/answer/features"]),
    (("classifier", "results", 0, "head_grad_l2"), 1.01, [f"{CLASSIFIER}/_ref/0/answer/head_grad_l2"]),
    (("classifier", "with_lora_batch0", "class_loss"), 1.001, [f"{CLASSIFIER}/with_lora_batch0/class_loss"]),
    (("collator_edge_cases", "cases", 0, "labels_kept", 0), 2, [f"{EDGE}/empty/paper_mask/labels_kept"]),
    (("collator_edge_cases", "truncation_of_query", "decoded"), "x", [f"{EDGE}/truncation_of_query/cut on"]),
    (("requires_grad_after_kl", "ref_trainable"), True, ["losses.json/requires_grad_after_kl: the base model"]),
    (("tokenizer_note", "ids", "▁ii"), 5, ["losses.json/tokenizer_note/ids/▁ii"]),
    (("reference_save", "keys", 0), "other", ["losses.json/reference_save/keys"]),
    (("new",), 1, ["losses.json/new: nothing compares it"]),
    ((*FIRST, "new"), 1, [f"{RESULTS}/0/new: nothing compares it"]),
    ((*FIRST, "total", 0, "metrics", "new"), 1, [f"{RESULTS}/0/total/jsd/0.0/metrics/new: nothing compares it"]),
]  # fmt: skip
"""Where a value is changed, by what (a float multiplies, to well beyond the tolerance), and what is said of it."""


def test_a_changed_value_is_a_difference(golden: Golden) -> None:
    """All changes at once, each with its own lines and nothing beside: the comparison of all takes ten seconds."""
    content = copy.deepcopy(golden.content)
    for (*place, last), value, _ in CHANGES:
        part: Any = content
        for name in place:
            part = part[name]
        part[last] = part[last] * value if isinstance(value, float) else value
    differences = compared(content, golden.directory).differences
    expected = [line for *_, lines in CHANGES for line in lines]
    assert [line for line in expected if not any(found.startswith(line) for found in differences)] == []
    assert [found for found in differences if not any(found.startswith(line) for line in expected)] == []
    assert len(differences) == len(expected)


def test_another_adapter_than_the_saved_one_is_a_difference(golden: Golden, tmp_path: Path) -> None:
    for name in MODEL_FILES:
        (tmp_path / name).symlink_to(golden.directory / name)
    (tmp_path / SAVED_ADAPTER).unlink()
    for source in (golden.directory / SAVED_ADAPTER).iterdir():
        (tmp_path / SAVED_ADAPTER).mkdir(exist_ok=True)
        (tmp_path / SAVED_ADAPTER / source.name).write_bytes(source.read_bytes())
    file = tmp_path / SAVED_ADAPTER / ADAPTER_WEIGHTS
    safetensors.torch.save_file({key: 1.01 * part for key, part in safetensors.torch.load_file(file).items()}, file)
    (difference,) = compared(golden.content, tmp_path).differences
    assert difference.startswith("losses.json/reference_save/reload")


def test_without_its_models_nothing_is_compared(golden: Golden, tmp_path: Path) -> None:
    tally = compared(golden.content, tmp_path)
    assert (tally.compared, tally.differences) == (0, [])
    assert tally.not_compared == {NO_MODEL: len(golden.content)}
