import subprocess
import sys

import raycalib.reports


def test_public_names_exist() -> None:
    assert all(hasattr(raycalib.reports, name) for name in raycalib.reports.__all__)


def test_import_needs_neither_ray_nor_torch() -> None:
    code = "import sys, raycalib.reports; print([m for m in ('ray', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
