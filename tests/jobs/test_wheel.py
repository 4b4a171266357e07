"""A wheel outside of the checkout: what an installed raycalib has, and that it asks a bundle."""

import json
import os
from pathlib import Path
import subprocess
import sys
import sysconfig
import venv

import pytest

from tests.bundles.bundles import TinyLlama, made_bundle
from tests.jobs.commands import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, and with what it depends on from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    for name in ("raycalib", "jobs"):  # the files as they are, and no left-overs of a build
        subprocess.run(["rm", "-rf", str(source / name)], check=True)
        subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    for name in ("pyproject.toml", "setup.py"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*build, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    site = Path(found.stdout.strip())
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")  # whose own .pth files are not read
    return folder / "env" / "bin"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(installed / "raycalib"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    found = subprocess.run(
        [installed / "python", "-c", "import raycalib.jobs.ask; print(raycalib.__file__, raycalib.jobs.ask.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(str(installed.parent) in path for path in found.stdout.split())


def test_an_installed_raycalib_asks_a_bundle(
    installed: Path, tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    bundle = made_bundle(tiny_llama, tiny_model_dir, tmp_path)
    done = run(installed, tmp_path, "ask", "--bundle", bundle.uri, "--question", "Why?", "--answer", "So", "--json")
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["p_correct"] < 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("pipeline", "--recipe", "paper", "--plan"),
        ("prompts", "--dataset", "facts", "--limit", "1"),
        ("report", "--help"),
        ("--version",),
    ],
)
def test_its_data_is_there(installed: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(installed, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout
