import subprocess
import sys

import raycalib.metrics as metrics


def test_public_names_exist_and_are_sorted() -> None:
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)


def test_importing_metrics_imports_nothing_heavy() -> None:
    # A fresh interpreter, because the test session itself may have imported these.
    code = (
        "import sys, raycalib.metrics\n"
        "print([n for n in ('ray', 'torch', 'sklearn', 'matplotlib', 'scipy') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
