"""Holds losses, gradients and hidden states of a tiny tuned model against losses.json.

The paper's mask of the divergence is wrong where a batch has several rows. So what hangs on it is compared twice: as
raycalib computes it, where the difference is explained and the right value is known from batches of one; and with the
mask's numbers of target tokens in raycalib's rows, where it must be equal, which shows that nothing else differs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from raycalib.lm.adapter_files import PREFIX, read_lora
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.storage import Location
from raycalib.tuning.batches import TuningRow
from tests.golden.batch_losses import REMARKS, compare_batch
from tests.golden.collator import compare_collator
from tests.golden.probe_head import compare_probe
from tests.golden.tally import Tally
from tests.golden.trajectory import compare_trajectory
from tests.golden.tuned import TunedModel, load_tuned

ADAPTER, SAVED_ADAPTER, HEAD = "tiny_adapter", "tiny_adapter_refsave", "classifier_head.safetensors"
MODEL_FILES = ("tiny_llama", ADAPTER, SAVED_ADAPTER, HEAD)
OTHER_CODE = "losses.json: exceptions, names and files of the paper's code"
NO_MODEL = f"losses.json: all of it, since {', '.join(MODEL_FILES)} are not all beside the file"

LEFT_OUT = {
    **dict.fromkeys(("about", "files", "tolerance"), REMARKS),
    **dict.fromkeys(("unlabeled_path", "tiny_adapter_vs_reference_model_max_abs_logit_diff"), OTHER_CODE),
}
READ = {
    "tokenizer_note",
    "batches",
    "results",
    "adamw_trajectory",
    "collator_edge_cases",
    "classifier",
    "reference_save",
    "requires_grad_after_kl",
}
BATCH = {"context", "target_prompt", "target", "output", "query_label"}
SPECIAL_TOKENS = ("bos", "eos", "pad", "unk")
SAVED_LEFT_OUT = {
    "note": REMARKS,
    **dict.fromkeys(("listing", "active_adapters", "peft_config_names", "nesting"), OTHER_CODE),
}


def compare_losses(golden: dict[str, Any], directory: Path, tally: Tally) -> None:
    """Everything in losses.json but what is counted as not compared; its models lie in the directory."""
    if not all((directory / name).exists() for name in MODEL_FILES):
        tally.leave_out(NO_MODEL, len(golden))
        return
    tally.account("losses.json", golden, READ, LEFT_OUT)
    tuned = load_tuned(directory, ADAPTER)
    _compare_tokenizer(golden["tokenizer_note"], tuned.tokenizer, tally)
    for examples in golden["batches"]:
        for fields in examples:
            tally.account("losses.json/batches", fields, BATCH, {})
    batches = [tuned.rows(examples) for examples in golden["batches"]]
    for result in golden["results"]:
        compare_batch(tuned, golden["batches"][result["batch"]], batches[result["batch"]], result, tally)
    _compare_trainable(golden["requires_grad_after_kl"], tuned, batches[0], tally)
    _compare_saved(golden["reference_save"], directory, tuned, batches, tally)
    compare_probe(golden["classifier"], directory / HEAD, tuned, golden["batches"], tally)
    compare_collator(golden["collator_edge_cases"], tuned, tally)
    compare_trajectory(golden["adamw_trajectory"], tuned, batches, tally)


def _compare_tokenizer(golden: dict[str, Any], tokenizer: PreTrainedTokenizerBase, tally: Tally) -> None:
    where = "losses.json/tokenizer_note"
    tally.account(where, golden, ("vocab", *SPECIAL_TOKENS, "ids", "query_token_vec"), {"note": REMARKS})
    tally.compare(f"{where}/vocab", len(tokenizer), golden["vocab"])
    for name in SPECIAL_TOKENS:
        tally.compare(f"{where}/{name}", getattr(tokenizer, f"{name}_token_id"), golden[name])
    for token, number in golden["ids"].items():
        tally.compare(f"{where}/ids/{token}", tokenizer.convert_tokens_to_ids(token), number)
    tally.compare(f"{where}/query_token_vec", list(query_label_tokens(tokenizer)), golden["query_token_vec"])


def _compare_trainable(golden: dict[str, bool], tuned: TunedModel, rows: Sequence[TuningRow], tally: Tally) -> None:
    """What is trainable after the base model was asked in the tuned one's place."""
    where = "losses.json/requires_grad_after_kl"
    tally.account(where, golden, ("default_trainable", "ref_trainable"), {})
    tuned.base_states(rows)
    trainable = {name: part.requires_grad for name, part in tuned.base.named_parameters()}
    adapter = {flag for name, flag in trainable.items() if ".lora_" in name}
    base = {flag for name, flag in trainable.items() if ".lora_" not in name}
    tally.compare(f"{where}: the adapter", adapter, {golden["default_trainable"]})
    tally.compare(f"{where}: the base model", base, {golden["ref_trainable"]})


def _compare_saved(
    golden: dict[str, Any], directory: Path, tuned: TunedModel, batches: Sequence[Sequence[TuningRow]], tally: Tally
) -> None:
    """The adapter as the paper's trainer saved it, each tensor under two names."""
    where = "losses.json/reference_save"
    tally.account(where, golden, ("keys", "reload_max_abs_logit_diff"), SAVED_LEFT_OUT)
    read = set(read_lora(Location(str(directory / SAVED_ADAPTER)), tuned.base).tensors)
    tally.compare(f"{where}/keys", read | {PREFIX + key for key in read}, set(golden["keys"]))
    again = load_tuned(directory, SAVED_ADAPTER)
    apart = [(again.query_logits(rows) - tuned.query_logits(rows)).abs().max() for rows in batches]
    tally.compare(f"{where}/reload", float(torch.stack(apart).max()), golden["reload_max_abs_logit_diff"])
