"""A real, tiny Llama that answers yes or no, and a server of transformers' own that serves it.

Its weights are random but for the last layer, which knows two words: with w one direction of the hidden state h,
``yes`` has the logit w·h, ``no`` has -w·h and every other token 0. So it always says one of both, and which one depends
on the whole text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.conftest import BOS_ID, EOS_ID, build_tokenizer

NAME = "tiny-judge"
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}verdict:"
STARTS_WITHIN_S = 120


def write_tiny_judge(folder: Path) -> Path:
    """Writes ``tiny-judge`` into the folder and returns its directory."""
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["yes", "no"])
    tokenizer.model_max_length = 4096
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=256,
        max_position_embeddings=4096,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).float().eval()
        direction = torch.randn(config.hidden_size)
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[yes], model.lm_head.weight[no] = direction, -direction
    directory = folder / NAME
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Its server's address, ``http://127.0.0.1:PORT``, while the ``with`` block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [str(Path(sys.executable).with_name("transformers")), "serve", directory.name, "--device", "cpu"]
    command += ["--dtype", "float32", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = directory.parent / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=directory.parent, env=environment, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
