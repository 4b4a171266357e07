"""The paper's recipe from its questions to its report, twelve combos in bfloat16, on copies small enough for CPUs."""

import json
from pathlib import Path
import subprocess
import sys

import pytest

from raycalib.lm.names import HUB_IDS
from raycalib.storage import Location, read_manifest
from tests.jobs.paper_copies import write_models, write_sources

pytestmark = [pytest.mark.paper, pytest.mark.ray, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
SMALL = {
    "--dataset": "all_20k_uniform:120+eval:mmlu",
    "--dtype": "bfloat16",
    "--max-new-tokens": "24",
    "--tuning.steps": "4",
    "--tuning.lr": "1e-3",
    "--probe.steps": "50",
    "--n-resamples": "20",
    "--ray.gpus-per-worker": "0",
    "--ray.train-workers": "2",
}
COMBOS = {(model, style) for model in HUB_IDS for style in ("oe", "choice")}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the finished run; ``log`` is what it said."""
    place = tmp_path_factory.mktemp("paper")
    write_models(place / "models")
    write_sources(place / "data")
    command = [sys.executable, "jobs/full_pipeline.py", "--recipe", "paper", "--out", str(place / "out")]
    command += ["--model-root", str(place / "models"), "--data-root", str(place / "data")]
    command += [part for item in SMALL.items() for part in item]
    with (place / "log").open("wb") as log:
        ended = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, timeout=1400, check=False)
    assert ended.returncode == 0, (place / "log").read_text(errors="replace")[-5000:]
    return place / "out"


def test_the_report_has_twelve_combos_evaluated_on_mmlu(out: Path) -> None:
    summary = json.loads((out / "report" / "summary.json").read_text())
    assert {(row["model"], row["style"]) for row in summary} == COMBOS
    for combo in COMBOS:
        of_combo = [row for row in summary if (row["model"], row["style"]) == combo]
        methods = {"zero_shot_query", "answer_likelihood", "lora_prompt", "lora_prompt+temperature", "probe"}
        assert methods <= {row["method"] for row in of_combo}
        assert {row["n"] + row["n_unscored"] for row in of_combo if row["split"] == "heldout_families"} == {57 * 2}
        assert all(row["brier"]["value"] is not None for row in of_combo if row["method"] == "lora_prompt")
    assert (out / "report" / "index.html").stat().st_size > 100_000


def test_all_of_it_was_computed_in_bfloat16_by_the_papers_settings(out: Path) -> None:
    tuned = [read_manifest(Location(str(place))) for place in (out / "tuned").iterdir()]
    assert len(tuned) == 12
    for manifest in tuned:
        assert manifest is not None
        settings = manifest.details["settings"]
        assert (settings["lora"]["rank"], settings["lora"]["targets"]) == (8, ["q_proj", "v_proj"])
        assert manifest.counts["train"] + manifest.counts["unscored"] + manifest.counts["too_long"] >= 120
    for stage in ("answers", "features", "scored"):
        found = [read_manifest(Location(str(place))) for place in (out / stage).iterdir()]
        assert len(found) == 24  # twelve combos, the training set and MMLU
        assert {manifest.config["dtype"] for manifest in found if manifest is not None} == {"bfloat16"}
        assert {manifest.counts["errors"] for manifest in found if manifest is not None} == {0}
