"""The vLLM engine against the transformers engine, and vLLM as a server; run by ``make test-vllm``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
import os
from pathlib import Path
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

pytest.importorskip("vllm", reason="needs vLLM: make test-vllm")

from raycalib.judging import judge_prompt
from raycalib.judging.desk import LocalDesk
from raycalib.judging.remote_judge import RemoteJudge
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.engines.openai_engine import OpenAiEngine
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.engines.vllm_engine import VllmEngine
from raycalib.lm.generation import Generation, GenerationRequest, GreedyGenerator
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import EMBEDDED_ROOT, find_model
from raycalib.prompts import Example, sanitize
from raycalib.sources import RefusedRow, SourceSettings, draw_questions
from raycalib.stages.workers.local_judge import LocalJudge
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.storage import Location
from tests.judging.tiny_judge import NAME, write_tiny_judge

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(1200)]

SOURCE = find_model("llama2:7b", EMBEDDED_ROOT)
MAX_NEW_TOKENS = 16
N_QUESTIONS = 250
CLOSE = 1e-3
"""vLLM's kernels add in another order than torch's: float32 logits of size 10 agree to about 1e-4."""


def requests() -> list[GenerationRequest]:
    """500 questions, half of them with options."""
    names = ("prompt", "context", "target_prompt", "target")
    found = []
    for style in ("oe", "choice"):
        drawn = (row for row in draw_questions(SourceSettings(), (style,), 137) if not isinstance(row, RefusedRow))
        for row in islice(drawn, N_QUESTIONS):
            text = Example(**{name: row[name] for name in names}).text()
            found.append(GenerationRequest(text, len(row["options"]), kept=row["target_prompt"].rstrip()))
    return found


@pytest.fixture(scope="module")
def expected() -> list[Generation]:
    model, tokenizer = load_causal_lm(SOURCE, "float32", use_gpu=False), load_tokenizer(SOURCE)
    return GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS).generate(requests())


def unexplained(expected: list[Generation], given: list[Generation]) -> list[tuple[Generation, Generation]]:
    """Answers that differ although their two best logits were not close; all that differ are printed."""
    pairs = [
        (one, other)
        for one, other in zip(expected, given, strict=True)
        if sanitize(one.output) != sanitize(other.output)
    ]
    print(f"{len(pairs)} of {len(given)} answers differ")
    for one, other in pairs:
        print(f"{one.output!r} and {other.output!r}: smallest margin {one.min_margin:g}")
    return [(one, other) for one, other in pairs if one.min_margin is None or one.min_margin >= CLOSE]


def test_the_answers_are_those_of_the_transformers_engine(expected: list[Generation]) -> None:
    engine = VllmEngine(SOURCE, "float32", MAX_NEW_TOKENS, None, gpus=0, gpu_memory_share=0.9)
    given = engine.generate(requests())
    assert unexplained(expected, given) == []
    for one, other in zip(expected, given, strict=True):
        if one.output == other.output:
            assert (one.n_answer_tokens, one.finish_reason, one.n_cut) == (
                other.n_answer_tokens,
                other.finish_reason,
                other.n_cut,
            )
            assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-3)
            assert other.option_log_likelihoods == pytest.approx(one.option_log_likelihoods, abs=1e-3)
            if not one.option_log_likelihoods:
                assert other.min_margin == pytest.approx(one.min_margin, abs=1e-3)
    assert engine.counts.tokens_read > 0
    assert engine.counts.padded_positions == 0


def test_a_text_at_the_end_of_the_window_and_those_beyond_it() -> None:
    """The engine cuts and refuses as the transformers engine does."""
    tokenizer, cue = load_tokenizer(SOURCE), "\nAnswer:"
    text = "Question: What is the capital of France?"
    n = len(tokenizer(text + cue)["input_ids"])
    asked = [
        GenerationRequest(text + cue, kept=cue),  # just fits
        GenerationRequest(f"{text} {text}{cue}", kept=cue),  # loses its left
        GenerationRequest(text + cue * 50, kept=cue * 50),  # the target prompt alone does not fit
    ]
    most = n + MAX_NEW_TOKENS
    model = load_causal_lm(SOURCE, "float32", use_gpu=False)
    wanted = GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS, max_tokens=most).generate(asked)
    given = VllmEngine(SOURCE, "float32", MAX_NEW_TOKENS, most, gpus=0, gpu_memory_share=0.9).generate(asked)
    assert [one.n_cut > 0 for one in wanted] == [False, True, False]
    assert wanted[2].error is not None
    for one, other in zip(wanted, given, strict=True):
        assert (one.n_cut, one.error) == (other.n_cut, other.error)
        assert sanitize(one.output) == sanitize(other.output)


@contextmanager
def served(directory: str, name: str) -> Iterator[str]:
    """The address of a vLLM server of the model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", directory]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--generation-config", "vllm"]
    process = subprocess.Popen(command, env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"})
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (URLError, OSError):
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_vllm_server_gives_the_same_answers_through_the_openai_engine(expected: list[Generation]) -> None:
    with served(SOURCE.path, "standin") as url:
        settings = EngineSettings(name="openai", base_url=url, served_model="standin")
        given = OpenAiEngine(settings, SOURCE.path, MAX_NEW_TOKENS).generate(requests()[:100])
    assert unexplained(expected[:100], given) == []


def test_a_vllm_server_judges_as_the_model_does_in_the_worker(tmp_path: Path) -> None:
    directory, place = write_tiny_judge(tmp_path), Location(str(tmp_path / "cache"))
    make = judge_prompt("strict").messages
    asked = [make(f"What is {i} + {i}?", str(2 * i), str(2 * i if i % 2 else i)) for i in range(200)]
    local = JudgeSettings(model=str(directory), engine="transformers", max_output_tokens=1)
    config = ModelWorkerConfig(
        source=find_model(str(directory)), dtype="float32", use_gpu=False, max_batch_tokens=8192, max_new_tokens=1
    )
    wanted = LocalJudge(config, ReplyCache(place, local)).replies(asked)
    assert {outcome.text for outcome in wanted} == {"yes", "no"}
    by_vllm = replace(config, engine=EngineSettings(name="vllm"))
    in_worker = LocalJudge(by_vllm, ReplyCache(place, replace(local, engine="vllm"))).replies(asked)
    assert sum(one.text != other.text for one, other in zip(wanted, in_worker, strict=True)) <= 1
    with served(str(directory), NAME) as url:
        settings = JudgeSettings(model=NAME, base_url=url, max_output_tokens=1, concurrency=32)
        judge = RemoteJudge(settings, ReplyCache(place, settings), LocalDesk(), None)
        given = judge.replies(asked)
        judge.close()
    differ = sum(one.text != other.text for one, other in zip(wanted, given, strict=True))
    print(f"{differ} of {len(asked)} verdicts differ")
    assert differ <= 1, "the two words' logits are rarely close"
    assert judge.tally.requests == len(asked)
