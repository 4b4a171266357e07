"""Prints what raycalib depends on, a requirement a line, from the pyproject.toml beside this directory.

``python dependencies.py s3 gcs`` adds these extras. Raycalib itself is not among them: it comes with every job's
working directory, so that a cluster serves all versions whose dependencies are the same.
"""

from pathlib import Path
import sys
import tomllib

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(extras: list[str], pyproject: Path = PYPROJECT) -> list[str]:
    """The requirements, as pip reads them; an extra that is not declared is a KeyError."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return project["dependencies"] + [each for extra in extras for each in project["optional-dependencies"][extra]]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
