"""Revisions of hub ids, read from a cache laid out as the hub's own."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

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
