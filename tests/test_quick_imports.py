"""What is imported without collections is not looked through again, and collections go on after it."""

from collections.abc import Iterator
import gc
import subprocess
import sys

import pytest

from raycalib.imports import without_collections

HEAVY = ("torch", "transformers", "peft", "ray", "deepspeed", "datasets")


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("was_on", [True, False])
def test_collections_stop_meanwhile_and_are_as_they_were(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    before = gc.get_freeze_count()
    with without_collections():
        assert not gc.isenabled()
    assert gc.isenabled() is was_on
    assert gc.get_freeze_count() > before


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("raycalib", set()),
        ("raycalib.bundles.record", set()),
        ("jobs.ask", set()),
        ("raycalib.bundles.thresholds", {"torch", "transformers"}),
        ("raycalib.steps.ask", {"torch", "ray", "transformers", "peft"}),
    ],
)
def test_what_a_command_does_not_need_is_not_imported(module: str, allowed: set[str]) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= allowed
