"""Two evaluation jobs at once into one run; one is killed by kill -9 with all that it started, and run again."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import random
import subprocess
import sys
import time

import pytest
from transformers import AutoModelForCausalLM

from raycalib.lm.names import embedded_root
from tests.jobs.commands import LIMIT_S, ROOT, predictions, rows_of, run_job, write_facts
from tests.jobs.processes import kill_family, wait_for
from tests.jobs.ray_head import RAY, RayHead, ray_head
from tests.stages.given import write_adapter

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1500)]
SEED = 3
N_ROWS, ROWS_PER_SHARD = 96, 8
SETS = ("first", "second", "shared")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    with ray_head(tmp_path_factory.mktemp("ray")) as head:
        yield head


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sets of questions and an adapter."""
    place = tmp_path_factory.mktemp("given")
    for index, name in enumerate(SETS):
        write_facts(place / f"{name}.jsonl", N_ROWS if name != "shared" else 2 * ROWS_PER_SHARD, first=1000 * index)
    write_adapter(place / "adapter", AutoModelForCausalLM.from_pretrained(embedded_root() / "llama2-7b"))
    return place


def flags(given: Path, out: Path, *sets: str) -> list[str]:
    command = ["--model", "llama2:7b", "--model-root", "embedded", "--style", "oe", "--out", str(out)]
    command += [text for name in sets for text in ("--eval", f"file:{given / name}.jsonl")]
    command += ["--adapter", str(given / "adapter"), "--methods", "lora_prompt,answer_likelihood"]
    return [*command, "--rows-per-shard", str(ROWS_PER_SHARD), "--n-resamples", "20"]


def shards_of(out: Path, stage: str, name: str) -> int:
    return len(list((out / stage).glob(f"*-{name}-*/part-*.parquet")))


def reports(out: Path) -> dict[str, str]:
    """By the sets of each evaluation job, its report."""
    found = {}
    for place in (out / "evaluated").iterdir():
        if (place / "evaluations.json").is_file():
            records = json.loads((place / "evaluations.json").read_text())["evaluations"]
            found[" ".join(sorted(record["set"] for record in records))] = f"evaluated/{place.name}"
    return found


def test_one_of_two_is_killed_and_run_again_and_the_other_is_unharmed(
    cluster: RayHead, given: Path, tmp_path: Path
) -> None:
    calm, out, log, draw = tmp_path / "calm", tmp_path / "out", tmp_path / "log", random.Random(SEED)
    alone = cluster.environment | {"RAY_ADDRESS": cluster.address}
    run_job("evaluate", *flags(given, calm, *SETS), "--ray.address", cluster.address, environment=alone)
    expected = predictions(calm, reports(calm)["first second shared"])
    assert len(expected) == 2 * (2 * N_ROWS + 2 * ROWS_PER_SHARD)

    submit = [RAY, "job", "submit", "--address", cluster.dashboard, "--working-dir", ".", "--"]
    command = ["jobs/evaluate.py", *flags(given, out, "second", "shared")]
    began = time.monotonic()
    with (tmp_path / "other").open("wb") as file:
        other = subprocess.Popen(
            [*submit, "python", *command], cwd=ROOT, env=cluster.environment, stdout=file, stderr=file
        )
    own = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    with log.open("ab") as file:
        mine = subprocess.Popen(
            [sys.executable, "jobs/evaluate.py", *flags(given, out, "first", "shared")],
            cwd=ROOT,
            env=own,
            stdout=file,
            stderr=file,
        )
    stage, wanted = draw.choice(("answers", "labelled", "features", "scored")), draw.randint(1, 10)
    wait_for(lambda: shards_of(out, stage, "first") >= wanted, mine, log, LIMIT_S)
    time.sleep(draw.uniform(0, 0.3))
    print(
        f"killed with {shards_of(out, stage, 'first')} shards of {stage}, the other is at work: {other.poll() is None}"
    )
    kill_family(mine)
    assert "first shared" not in reports(out) if (out / "evaluated").is_dir() else True

    run_job("evaluate", *flags(given, out, "first", "shared"), environment=own)
    assert other.wait(timeout=LIMIT_S) == 0, (tmp_path / "other").read_text(errors="replace")[-4000:]
    print(f"{time.monotonic() - began:.1f} s for both")

    found = reports(out)
    assert set(found) == {"first shared", "second shared"}
    for names, report in found.items():
        said = predictions(out, report)
        assert {key[2] for key in said} == set(names.split())
        assert said == pytest.approx({key: p for key, p in expected.items() if key[2] in names.split()}, abs=1e-6)
    for stage in ("questions", "answers", "labelled", "features", "scored", "predictions"):
        places, calms = ({each.name for each in (run / stage).iterdir()} for run in (out, calm))
        assert places == calms, stage
        for name in places:
            key = [(row["row_id"], row.get("method")) for row in rows_of(out / stage / name)]
            assert len(key) == len(set(key)), f"{stage}: rows are doubled"
            assert sorted(key) == sorted((row["row_id"], row.get("method")) for row in rows_of(calm / stage / name))
