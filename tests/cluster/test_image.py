"""The image's recipe, which no test can build: its steps are those of ``make install`` and of CI."""

from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "cluster" / "image" / "Dockerfile").read_text()
CONSTRAINTS = (ROOT / "constraints.txt").read_text()


def found(pattern: str, text: str) -> str:
    """What the one match has in its group."""
    (only,) = re.findall(pattern, text, re.M)
    return only


def test_ray_and_python_are_those_that_are_tested() -> None:
    version, python, cuda = re.findall(r"^FROM rayproject/ray:([\d.]+)-py(\d+)-(cu\d+)$", RECIPE, re.M)[0]
    assert version == found(r"^ray==(.+)$", CONSTRAINTS)
    assert f"python{python[0]}.{python[1:]}" == found(r"PYTHON=(python[\d.]+)", (ROOT / "Makefile").read_text())
    project = found(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
    assert f"-t raycalib/raycalib:{project}-ray{version}-{cuda} " in RECIPE
    for name in ("kuberay-rayjob", "kuberay-raycluster"):
        assert f"raycalib/raycalib:{project}-ray{version}-{cuda}\n" in (ROOT / "cluster" / f"{name}.yaml").read_text()


def test_it_installs_what_ci_and_make_install_install() -> None:
    of_debian = r"apt-get install -y -qq (?:--no-install-recommends )?([^;&\n]+?)(?: &&|$)"
    assert found(of_debian, RECIPE) == found(of_debian, (ROOT / ".ci" / "run").read_text())
    by_pip = r"-m (pip install .*) -e '\.\[(.*)\]'$"
    ((command, extras),) = re.findall(by_pip, RECIPE, re.M)
    ((tested, _),) = re.findall(by_pip, (ROOT / "Makefile").read_text(), re.M)
    assert command.replace(" --no-cache-dir", "") == tested
    optional = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    assert all(re.search(rf"^{extra} = ", optional, re.M) for extra in extras.split(","))


def test_all_that_it_copies_is_there_and_a_job_needs_no_more() -> None:
    copied = [name for line in re.findall(r"^COPY --chown=ray:users (.+) \S+$", RECIPE, re.M) for name in line.split()]
    assert all((ROOT / name).exists() for name in copied)
    assert {"raycalib", "jobs", "pyproject.toml", "constraints.txt"} <= set(copied)
    assert "USER ray" in RECIPE.splitlines()[RECIPE.splitlines().index("USER root") :], "nothing runs as root"
