"""What ``ray job submit --working-dir .`` takes along: packed as Ray packs it, in a copy with what must not travel."""

from pathlib import Path
import shutil
import zipfile

import pytest
from ray._private.runtime_env.packaging import create_package

ROOT = Path(__file__).parents[2]
MOST_BYTES = 20 * 2**20
STAYS = [
    ".env", ".env.production", "key.pem", "runs/demo/answers/shard-0.parquet", "runs2/x.json", ".venv/bin/python",
    "checkpoints/step-1/state.json", "llama2-7b/model.safetensors", "llama2-7b/pytorch_model.bin", "adapter.pt",
    "raycalib/lm/standins/model.safetensors", "copy.tar.gz", "tests/new.py",
]  # fmt: skip
TRAVELS = ["questions.jsonl", "mine/answers.csv", "questions.parquet", "recipe.json"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    root = tmp_path_factory.mktemp("checkout")
    for name in ("raycalib", "jobs", "docs", "tests/storage"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", ".rayignore", "README.md"):
        shutil.copy(ROOT / name, root / name)
    for name in (*STAYS, *TRAVELS):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    package = root.parent / "package.zip"
    create_package(str(root), package, include_gitignore=True)
    return zipfile.ZipFile(package)


def test_runs_environments_weights_and_secrets_stay(packed: zipfile.ZipFile) -> None:
    names = {name for name in packed.namelist() if not name.endswith("/")}
    assert names.isdisjoint(STAYS)
    assert not [name for name in names if name.startswith(("docs/", "tests/", "runs"))]
    assert names >= set(TRAVELS)


def test_what_a_job_needs_travels_and_is_small(packed: zipfile.ZipFile) -> None:
    names = set(packed.namelist())
    needed = [path.relative_to(ROOT) for name in ("raycalib", "jobs") for path in (ROOT / name).rglob("*")]
    missing = [str(path) for path in needed if (ROOT / path).is_file() and "__pycache__" not in path.parts]
    assert set(missing) - names == set()
    assert "raycalib/lm/standins/weights/llama2-7b/model.safetensors" in names
    assert sum(info.compress_size for info in packed.infolist()) < MOST_BYTES
