"""A file of questions, killed at a random moment: the same command goes on, and its answers are those of a calm run."""

import json
from pathlib import Path
import random
import subprocess
import sys

import pytest

from raycalib.storage import Location, find_shards
from tests.bundles.bundles import TinyLlama, made_bundle
from tests.jobs.commands import ROOT
from tests.jobs.processes import kill_family, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]
LIMIT_S, N_QUESTIONS, SEED = 200, 240, 11


def told(out: Path) -> dict[str, bytes]:
    """Whole shards of answers by name."""
    places = [Location(str(place)) for place in (out / "told").glob("*")] if (out / "told").is_dir() else []
    return {name: place.read_bytes(name) for place in places for name in find_shards(place).values()}


def test_killed_a_file_is_gone_on_with(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> None:
    bundle = made_bundle(tiny_llama, tiny_model_dir, tmp_path)
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": f"What is {n} and {n}?"}) + "\n" for n in range(N_QUESTIONS)))

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "jobs/ask.py", "--bundle", bundle.uri, "--in", str(file), "--out", str(out)]
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen([*command, "--rows-per-shard", "2"], cwd=ROOT, stdout=log, stderr=log)

    calm, killed, log = tmp_path / "calm", tmp_path / "killed", tmp_path / "log"
    assert start(calm).wait(timeout=LIMIT_S) == 0, log.read_text()[-3000:]
    n_shards = len(told(calm))
    assert n_shards == N_QUESTIONS // 2

    wanted = random.Random(SEED).randint(5, n_shards // 2)
    process = start(killed)
    wait_for(lambda: len(told(killed)) >= wanted, process, log, LIMIT_S)
    kill_family(process)
    before = told(killed)
    assert wanted <= len(before) < n_shards
    assert not (killed / "answers.jsonl").exists()

    assert start(killed).wait(timeout=LIMIT_S) == 0, log.read_text()[-3000:]
    assert (killed / "answers.jsonl").read_bytes() == (calm / "answers.jsonl").read_bytes()
    after = told(killed)
    assert {name: after[name] for name in before} == before, "what was there is not done again"
