"""Every shell line of the cluster's files is one that bash reads, also as Ray wraps it."""

from pathlib import Path
import subprocess

import pytest
from ray.autoscaler._private.command_runner import _with_interactive
from ray.autoscaler._private.docker import with_docker_exec
from ray.autoscaler._private.util import with_envs

from tests.cluster.cluster_files import CLUSTER, RAYS, RENTED, commands, load, shown_commands

SHOWN = (*RAYS, "skypilot")
SCRIPTS = sorted(CLUSTER.glob("*.sh"))


def bash_reads(text: str) -> bool:
    """Whether it is without a fault of syntax."""
    return subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).returncode == 0


def test_a_fault_is_found() -> None:
    assert not bash_reads('echo "$(date"')


@pytest.mark.parametrize(("name", "command"), [(name, each) for name in RAYS for each in commands(name)])
def test_bash_reads_a_command_alone_and_as_ray_sends_it(name: str, command: str) -> None:
    assert bash_reads(command)
    wrapped = " ".join(_with_interactive(with_envs([command], {"RAY_HEAD_IP": "10.77.0.4"})[0]))
    assert bash_reads(wrapped)
    if name in RENTED:
        assert bash_reads(with_docker_exec([wrapped], "raycalib", "docker", with_interactive=True)[0])


@pytest.mark.parametrize("name", SHOWN)
def test_bash_reads_what_a_user_types(name: str) -> None:
    assert all(bash_reads(each) for each in shown_commands(name))


@pytest.mark.parametrize("part", ["setup", "run"])
def test_bash_reads_skypilots_scripts(part: str) -> None:
    assert bash_reads(load("skypilot")[part])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_bash_reads_scripts(path: Path) -> None:
    assert path.stat().st_mode & 0o100
    assert bash_reads(path.read_text())


@pytest.mark.parametrize("name", RAYS)
def test_nothing_is_echoed_that_a_command_reads(name: str) -> None:
    for command in commands(name):
        assert not any(each in command for each in ("set -x", "set -v", "bash -x", "xtrace", "printenv", "env |"))
    assert "set -x" not in load("skypilot")["run"] + load("skypilot")["setup"]


def ends(hours: str, name: str, place: Path) -> bool:
    """Whether ends.sh shuts the machine down within 4 s: where no process of that name has been there for two."""
    note = place / "shutdown"
    note.write_text(f'#!/bin/bash\necho "$@" > {place}/called\n')
    note.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "SHUTDOWN": str(note), "EVERY": "0.1", "IDLE": "2"}
    command = ["bash", str(CLUSTER / "ends.sh"), hours, name]
    try:
        subprocess.run(command, env=environment, timeout=4, check=True)
    except subprocess.TimeoutExpired:
        return False
    return (place / "called").read_text().split() == ["-h", "now"]


def test_a_machine_ends_when_its_hours_are_over_or_ray_is_gone(tmp_path: Path) -> None:
    assert ends("0", "bash", tmp_path)
    assert ends("1", "no-such-process", tmp_path)


def test_a_machine_stays_while_ray_is_there(tmp_path: Path) -> None:
    assert not ends("1", "bash", tmp_path)
