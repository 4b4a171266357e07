"""skypilot.yaml against the fields that SkyPilot documents.

The list is of docs.skypilot.co/en/latest/reference/yaml-spec.html (skypilot-org/skypilot on GitHub,
docs/source/reference/yaml-spec.rst), read in November 2026; SkyPilot itself is not among what raycalib is tested with.
"""

import re
from typing import Any

import pytest
from ray.scripts.scripts import cli

from tests.cluster.cluster_files import load

TOP = {
    "name",
    "workdir",
    "num_nodes",
    "resources",
    "envs",
    "secrets",
    "file_mounts",
    "setup",
    "run",
    "config",
    "service",
}
RESOURCES = {
    *(
        "infra",
        "accelerators",
        "accelerator_args",
        "cpus",
        "memory",
        "instance_type",
        "use_spot",
        "disk_size",
        "disk_tier",
    ),
    *(
        "network_tier",
        "max_hourly_cost",
        "image_id",
        "ports",
        "labels",
        "autostop",
        "any_of",
        "ordered",
        "job_recovery",
    ),
}
RECOVERY = {"strategy", "max_restarts_on_errors"}


@pytest.fixture
def task() -> dict[str, Any]:
    return load("skypilot")


def test_its_fields_are_documented(task: dict[str, Any]) -> None:
    resources = task["resources"]
    assert task.keys() <= TOP
    assert resources.keys() <= RESOURCES
    assert all(each.keys() <= RESOURCES - {"any_of", "ordered"} for each in resources["ordered"])
    assert resources["job_recovery"].keys() <= RECOVERY
    assert resources["job_recovery"]["strategy"] in {"FAILOVER", "EAGER_NEXT_REGION"}
    assert resources["disk_tier"] in {"low", "medium", "high", "ultra", "best"}


def test_spot_comes_before_on_demand_and_a_price_is_the_bound(task: dict[str, Any]) -> None:
    assert task["resources"]["ordered"] == [{"use_spot": True}, {"use_spot": False}]
    assert task["resources"]["max_hourly_cost"] <= 10


def test_no_port_and_no_secret_is_in_it(task: dict[str, Any]) -> None:
    assert "ports" not in task["resources"]
    assert task["secrets"] == {
        "RAY_AUTH_TOKEN": None,
        "HF_TOKEN": None,
    }  # null: given by --secret, or the job is refused
    assert not task["secrets"].keys() & task["envs"].keys()


def test_ray_starts_with_the_token_beside_skypilots_own(task: dict[str, Any]) -> None:
    run = task["run"]
    assert run.startswith("ulimit -n 65536\n")
    assert "export RAY_AUTH_MODE=token " in run
    assert "--dashboard-host 127.0.0.1" in run
    assert not re.search(r"^\s*ray stop", run, re.MULTILINE)  # it would end SkyPilot's Ray too
    assert not re.search("6380|8266", run)  # SkyPilot's own ports
    assert run.count("preempted.py") == 2


def test_the_commands_of_ray_that_it_uses_exist(task: dict[str, Any]) -> None:
    used = set(re.findall(r"\bray ([a-z-]+) --", task["run"]))
    assert used == {"start", "health-check"}
    assert used | {"drain-node", "dashboard", "up", "down", "exec", "get-auth-token"} <= cli.commands.keys()


def test_dependencies_come_in_exact_versions(task: dict[str, Any]) -> None:
    assert "-c constraints.txt -c cluster/gcp-constraints.txt" in task["setup"]
