"""Revisions of hub ids, read from a cache laid out as the hub's own."""

import os
from pathlib import Path
import subprocess
import sys

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODE = """
from raycalib.errors import ModelError
from raycalib.lm.loading import pin_revision
from raycalib.lm.names import find_model
try:
    source = pin_revision(find_model("org/model"))
    print(source.revision, pin_revision(source) == source)
except ModelError as error:
    print(error)
"""


@pytest.mark.parametrize("cached", [True, False])
def test_a_hub_id_is_pinned_to_the_commit_in_the_cache(tmp_path: Path, cached: bool) -> None:
    if cached:
        repository = tmp_path / "hub" / "models--org--model"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        (repository / "snapshots" / COMMIT).mkdir(parents=True)
        (repository / "snapshots" / COMMIT / "config.json").write_text("{}")
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    if cached:
        assert printed == f"{COMMIT} True\n"
    else:
        assert printed.startswith("model: 'org/model' (org/model) is neither on the hub nor in the cache: ")
        assert "--model-root" in printed
        assert printed.count("\n") == 1


MAPPED = """
import sys
import torch
from raycalib.lm.loading import load_as_stored, load_causal_lm
from raycalib.lm.names import find_model

def own():  # MiB of pages that were written to, so that no other process has them
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:")) / 1024

def load():
    source = find_model(sys.argv[1])
    model = load_as_stored(source) if sys.argv[2] == "stored" else load_causal_lm(source, sys.argv[2])
    for weight in model.parameters():
        weight.sum()  # all of them are read
    return model

first = load()  # what is imported stays
before = own()
model = load()
size = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / 2**20
print(model.dtype, size, own() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_as_stored_take_no_memory_of_a_process_of_its_own(tmp_path: Path) -> None:
    shape = {"num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 8000}
    model = LlamaForCausalLM(LlamaConfig(hidden_size=1024, intermediate_size=4096, **shape))
    model.to(torch.bfloat16).save_pretrained(tmp_path)

    def loaded(dtype: str) -> tuple[str, float, float]:
        command = [sys.executable, "-c", MAPPED, str(tmp_path), dtype]
        kind, size, taken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return kind, float(size), float(taken)

    kind, size, taken = loaded("stored")
    assert kind == "torch.bfloat16"
    assert taken < 0.3 * size
    kind, size, taken = loaded("float32")
    assert kind == "torch.float32"
    assert taken > 0.9 * size
