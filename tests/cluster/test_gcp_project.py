"""gcp-project.sh against a gcloud that notes what it is asked, and gcp.yaml against Ray's own launcher.

Google's client library is not among what raycalib is tested with: in its place stands an object that answers as little
as Ray's code asks for.
"""

import importlib
import os
from pathlib import Path
import subprocess
import sys
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml

from tests.cluster.cluster_files import CLUSTER, ROOT, filled, load

PROJECT = "some-project"
GCLOUD = """#!/bin/bash
echo "$@" >> "$NOTES"
case "$*" in
  "config get project") echo some-project ;;
  *" describe "*) exit "$DESCRIBED" ;;
esac
"""


def run(place: Path, described: int, *arguments: str) -> list[str]:
    """What gcloud is asked for; 0 where all exists already, 1 where nothing does."""
    (place / "gcloud").write_text(GCLOUD)
    (place / "gcloud").chmod(0o755)
    environment = {"PATH": f"{place}:{os.environ['PATH']}", "HOME": str(place), "NOTES": str(place / "notes")}
    command = ["bash", str(CLUSTER / "gcp-project.sh"), *arguments]
    subprocess.run(command, env=environment | {"DESCRIBED": str(described)}, check=True, capture_output=True)
    return (place / "notes").read_text().splitlines()


def test_two_ways_in_and_none_from_the_world(tmp_path: Path) -> None:
    asked = run(tmp_path, 1)
    rules = [line for line in asked if "firewall-rules create" in line]
    sources = {line.split()[3]: line.partition("--source-ranges=")[2].split()[0] for line in rules}
    assert sources == {"raycalib-among-themselves": "10.77.0.0/20", "raycalib-ssh-by-proxy": "35.235.240.0/20"}
    assert [line for line in rules if "--allow=tcp:22 " in line] == [line for line in rules if "by-proxy" in line]
    assert "--range=10.77.0.0/20" in next(line for line in asked if "subnets create" in line)
    assert any("--public-access-prevention" in line for line in asked if "buckets create" in line)


def test_rights_are_the_least_that_will_do(tmp_path: Path) -> None:
    granted = set()
    for line in run(tmp_path, 1):
        words = line.split()
        if "add-iam-policy-binding" in words:
            member = next(word for word in words if word.startswith("--member=")).rpartition(":")[2].partition("@")[0]
            role = next(word for word in words if word.startswith("--role=")).partition("=")[2]
            granted.add((member, words[words.index("add-iam-policy-binding") + 1].partition("@")[0], role))
    shared = {
        (member, "gs://raycalib-some-project", "roles/storage.objectUser")
        for member in ("raycalib-head", "raycalib-worker")
    }
    assert granted == shared | {
        ("raycalib-head", PROJECT, "roles/compute.instanceAdmin.v1"),
        ("raycalib-head", "raycalib-worker", "roles/iam.serviceAccountUser"),
        ("raycalib-head", "raycalib-HF_TOKEN", "roles/secretmanager.secretAccessor"),
        ("raycalib-worker", "raycalib-HF_TOKEN", "roles/secretmanager.secretAccessor"),
        ("raycalib-head", "raycalib-OPENAI_API_KEY", "roles/secretmanager.secretAccessor"),
    }


def test_a_second_time_it_makes_nothing_again(tmp_path: Path) -> None:
    assert not [line for line in run(tmp_path, 0) if " create " in line]


def named(asked: list[str], verb: str) -> set[tuple[str, str]]:
    """Kind and name of what is made or deleted."""
    halves = [line.split(f" {verb} ") for line in asked if f" {verb} " in line]
    words = [(kind, word) for kind, rest in halves for word in rest.split() if not word.startswith("--")]
    return {(kind, word.partition("@")[0]) for kind, word in words}


def test_what_it_makes_it_removes_but_for_the_bucket(tmp_path: Path) -> None:
    made = named(run(tmp_path, 1), "create")
    (tmp_path / "notes").unlink()
    removed = named(run(tmp_path, 0, "--remove"), "delete")
    goes_with_the_router = ("compute routers nats", "raycalib")
    assert made - removed == {("storage buckets", "gs://raycalib-some-project"), goes_with_the_router}
    assert removed <= made


def test_it_writes_the_file_with_the_projects_name(tmp_path: Path) -> None:
    run(tmp_path, 0)
    written = (tmp_path / ".raycalib" / "gcp.yaml").read_text()
    assert "PROJECT_ID" not in written
    assert yaml.safe_load(written)["provider"]["project_id"] == PROJECT


@pytest.fixture
def ray_gcp(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Ray's code for Google Cloud, with nothing behind it."""
    for name in (
        "googleapiclient",
        "googleapiclient.discovery",
        "googleapiclient.errors",
        "google_auth_httplib2",
        "httplib2",
    ):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    for name in [name for name in sys.modules if name.startswith("ray.autoscaler._private.gcp")]:
        monkeypatch.delitem(sys.modules, name)
    module = importlib.import_module("ray.autoscaler._private.gcp.config")
    for name in [name for name in sys.modules if name.startswith("ray.autoscaler._private.gcp")]:
        monkeypatch.delitem(sys.modules, name)
    return module


def launched(ray_gcp: ModuleType, monkeypatch: pytest.MonkeyPatch, place: Path) -> dict[str, Any]:
    """gcp.yaml after `ray up` has looked at the project."""
    monkeypatch.setenv("HOME", str(place))
    crm, iam, compute = MagicMock(), MagicMock(), MagicMock()
    crm.projects().get().execute.return_value = {"lifecycleState": "ACTIVE", "projectId": PROJECT}
    crm.projects().getIamPolicy().execute.return_value = {"bindings": []}
    account = {"email": f"ray-autoscaler-sa-v1@{PROJECT}.iam.gserviceaccount.com", "projectId": PROJECT}
    iam.projects().serviceAccounts().get().execute.return_value = account
    compute.projects().get().execute.return_value = {"name": PROJECT, "commonInstanceMetadata": {}}
    compute.globalOperations().get().execute.return_value = {"status": "DONE"}
    monkeypatch.setattr(ray_gcp, "construct_clients_from_provider_config", lambda _: (crm, iam, compute, None))
    return ray_gcp.bootstrap_gcp(filled("gcp"))


def test_machines_have_no_address_and_our_accounts(
    ray_gcp: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = launched(ray_gcp, monkeypatch, tmp_path)
    for name, each in config["available_node_types"].items():
        node = config["head_node"] | each["node_config"] if name == "head" else each["node_config"]
        (interface,) = node["networkInterfaces"]
        assert interface == {
            "network": "global/networks/raycalib",
            "subnetwork": "regions/us-central1/subnetworks/raycalib",
        }
        (account,) = node["serviceAccounts"]
        kind = "head" if name == "head" else "worker"
        assert account["email"] == f"raycalib-{kind}@PROJECT_ID.iam.gserviceaccount.com"
        assert node["scheduling"]["maxRunDuration"] == {"seconds": 72 * 3600}
        assert node["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert config["auth"]["ssh_private_key"].startswith(str(tmp_path))


def test_all_of_it_is_in_one_zone() -> None:
    config = load("gcp")
    zone = config["provider"]["availability_zone"]
    assert zone.startswith(config["provider"]["region"])
    for each in config["available_node_types"].values():
        (disk,) = each["node_config"]["disks"]
        assert disk["initializeParams"]["diskType"] == f"zones/{zone}/diskTypes/pd-ssd"
        assert disk["autoDelete"] is True


def test_what_google_adds_is_pinned_beside_the_rest() -> None:
    pins = [line.split("==")[0] for line in (CLUSTER / "gcp-constraints.txt").read_text().splitlines() if "==" in line]
    others = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {"gcsfs", "google-api-python-client"} <= set(pins)
    assert not {name.lower() for name in pins} & others
    assert len(pins) == len(set(pins)) == 16
