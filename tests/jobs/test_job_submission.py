"""``ray job submit`` on a running cluster with token authentication: raycalib comes with the working directory."""

from collections.abc import Iterator
import json
from pathlib import Path
import subprocess
from subprocess import PIPE, STDOUT

import pytest

from tests.jobs.commands import SMALL, of_training, write_facts
from tests.jobs.ray_head import RAY, RayHead, ray_head

ROOT = Path(__file__).parents[2]
MODELS = ("llama2:7b", "mistral:7b")


@pytest.fixture
def cluster(tmp_path_factory) -> Iterator[RayHead]:
    with ray_head(tmp_path_factory.mktemp("ray")) as head:
        yield head


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_the_pipeline_runs_as_a_submitted_job_and_needs_the_token(cluster, tmp_path):
    submit = [RAY, "job", "submit", "--address", cluster.dashboard, "--working-dir", ".", "--"]
    bare = {k: v for k, v in cluster.environment.items() if not k.startswith("RAY_AUTH")} | {
        "RAY_AUTH_MODE": "disabled",
        "HOME": str(tmp_path),
    }
    refused = subprocess.run([*submit, "true"], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0

    where = [*submit, "python", "-c", "import raycalib; print('imported', raycalib.__file__)"]
    said = subprocess.run(where, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr[-2000:]
    assert "working_dir_files" in next(line for line in said.stdout.splitlines() if line.startswith("imported"))

    swept = [*submit, "python", "jobs/full_pipeline.py", "--recipe", "smoke"]  # runs/demo, beside the job's own files
    said = subprocess.run(swept, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=300)
    assert said.returncode != 0
    assert "error: out: " in said.stdout
    assert "which is removed after the job; name a place that all nodes see: --out" in said.stdout
    assert "joining the Ray cluster" not in said.stdout

    run = tmp_path / "run"
    job = [*submit, "python", "jobs/full_pipeline.py", *SMALL, "--models", *MODELS, "--styles", "oe", "--out", str(run)]
    done = subprocess.run(job, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert (run / "report" / "summary.json").is_file()
    assert "joining the Ray cluster" in done.stdout
    _one_evaluation_for_each_model_at_once(cluster, [*submit, "python", "jobs/evaluate.py"], run, tmp_path)


def _one_evaluation_for_each_model_at_once(cluster: RayHead, evaluate: list[str], run: Path, place: Path) -> None:
    """Two jobs into one run: each evaluates what was tuned of its model, and touches nothing of the other's."""
    questions, before = write_facts(place / "facts.jsonl", 32), of_training(run)
    jobs = []
    for model in MODELS:
        (adapter,) = run.glob(f"tuned/{model.replace(':', '-')}-oe-*/adapter")
        flags = ["--model", model, "--style", "oe", "--eval", f"file:{questions}", "--adapter", str(adapter)]
        command = [*evaluate, *flags, "--methods", "lora_prompt,answer_likelihood", "--out", str(run)]
        jobs.append(subprocess.Popen(command, cwd=ROOT, env=cluster.environment, stdout=PIPE, stderr=STDOUT, text=True))
    said = [job.communicate(timeout=600)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], "\n".join(text[-3000:] for text in said)
    reports = {path.parent.name: json.loads(path.read_text()) for path in run.glob("evaluated/*/summary.json")}
    assert {frozenset(row["model"] for row in rows) for rows in reports.values()} == {frozenset([m]) for m in MODELS}
    for rows in reports.values():
        assert {row["n"] for row in rows if row["split"] == "facts"} == {32}
        assert {"lora_prompt", "answer_likelihood"} <= {row["method"] for row in rows}
    assert of_training(run) == before
