"""The Kubernetes files: against the operator's schemas where they are at hand, and what they say in any case."""

from collections.abc import Iterator
import gzip
import json
from pathlib import Path
import re
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT.parent / "shared" / "crds"
FILES = ("kuberay-rayjob", "kuberay-raycluster")
VERSIONS = ("1.4.2", "1.6.2", "1.7.0")
MARK = re.compile(r" # KubeRay 1\.(\d)$")
Json = dict[str, Any]


def text_for(name: str, version: str) -> str:
    """The file as it is applied with an operator: without lines that need a newer one."""
    minor = int(version.split(".")[1])
    lines = (ROOT / "cluster" / f"{name}.yaml").read_text().splitlines()
    kept = [line for line in lines if not (mark := MARK.search(line)) or int(mark[1]) <= minor]
    return "\n".join(kept if minor >= 6 else [line.replace("# before 1.6: ", "") for line in kept])


def ray_object(text: str) -> Json:
    """The RayJob or RayCluster among the documents."""
    (found,) = [each for each in yaml.safe_load_all(text) if each["apiVersion"] == "ray.io/v1"]
    return found


def cluster_of(found: Json) -> Json:
    return found["spec"] if found["kind"] == "RayCluster" else found["spec"]["rayClusterSpec"]


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server does with strict validation."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def problems(name: str, version: str, text: str) -> list[str]:
    kind = "rayjobs" if name == "kuberay-rayjob" else "rayclusters"
    path = SCHEMAS / f"{kind}-{version}.json.gz"
    if not path.exists():
        pytest.skip("the operator's schemas are not here")
    schema = json.loads(gzip.decompress(path.read_bytes()))["properties"]["spec"]
    validator = jsonschema.Draft202012Validator(closed(schema))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(ray_object(text)["spec"])]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FILES)
def test_each_operator_knows_every_field_that_is_meant_for_it(name: str, version: str) -> None:
    assert problems(name, version, text_for(name, version)) == []


@pytest.mark.parametrize(("name", "version"), [(name, version) for name in FILES for version in VERSIONS[:2]])
def test_what_is_marked_for_a_newer_operator_is_unknown_to_the_older_one(name: str, version: str) -> None:
    newer = "1.6.2" if version == "1.4.2" else "1.7.0"
    said = "\n".join(problems(name, version, text_for(name, newer)))
    marked = {
        re.split(r"[:\s]+", line.strip())[0] for line in (text_for(name, newer)).splitlines() if MARK.search(line)
    }
    marked -= {
        re.split(r"[:\s]+", line.strip())[0] for line in text_for(name, version).splitlines() if MARK.search(line)
    }
    assert {key for key in marked if re.match(r"[a-z]", key)} - {"deletionRules"} <= set(re.findall(r"'(\w+)'", said))


@pytest.mark.parametrize("name", FILES)
def test_a_field_that_no_operator_knows_is_refused(name: str) -> None:
    wrong = text_for(name, "1.7.0").replace("idleTimeoutSeconds: 1800", "idleTimeoutSecond: 1800")
    assert any("idleTimeoutSecond" in problem for problem in problems(name, "1.7.0", wrong))


def groups(name: str) -> dict[str, Json]:
    return {each["groupName"]: each for each in cluster_of(ray_object(text_for(name, "1.7.0")))["workerGroupSpecs"]}


@pytest.mark.parametrize("name", FILES)
def test_workers_come_from_nothing_spot_first_and_on_demand_of_equal_size_behind_it(name: str) -> None:
    found = groups(name)
    pairs = {group.removesuffix("-spot") for group in found if group.endswith("-spot")}
    assert set(found) == {f"{pair}-{market}" for pair in pairs for market in ("spot", "on-demand")}
    assert len(pairs) == 3
    for pair in pairs:
        spot, other = found[f"{pair}-spot"], found[f"{pair}-on-demand"]
        assert (spot["priority"], other["priority"]) == (10, 0)
        for group, market in ((spot, "spot"), (other, "on-demand")):
            assert (group["replicas"], group["minReplicas"]) == (0, 0)
            assert group["idleTimeoutSeconds"] == (1800 if pair == "cpu" else 300)
            assert group["labels"]["ray.io/market-type"] == market
            assert group["template"]["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == market
        assert container(spot)["resources"] == container(other)["resources"]
        assert spot["maxReplicas"] == other["maxReplicas"]
        assert ("nvidia.com/gpu" in container(spot)["resources"]["limits"]) == (pair != "cpu")
        assert ("ray.io/accelerator-type" in spot["labels"]) == (pair != "cpu")


def container(group: Json) -> Json:
    (found,) = group["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_head_computes_nothing_and_has_room(name: str) -> None:
    head = cluster_of(ray_object(text_for(name, "1.7.0")))["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    limits = container(head)["resources"]["limits"]
    assert "nvidia.com/gpu" not in limits
    assert int(limits["memory"].removesuffix("Gi")) >= 32


def containers(name: str) -> Iterator[tuple[str, Json]]:
    found = ray_object(text_for(name, "1.7.0"))
    yield "head", container(cluster_of(found)["headGroupSpec"])
    for group, spec in groups(name).items():
        yield group, container(spec)
    if found["kind"] == "RayJob":
        yield "submitter", container({"template": found["spec"]["submitterPodTemplate"]})


@pytest.mark.parametrize("name", FILES)
def test_every_container_has_the_token_of_the_secret_and_one_image_of_this_ray(name: str) -> None:
    (ray,) = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    images = set()
    for what, found in containers(name):
        env = {each["name"]: each for each in found["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token", what
        assert env["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "raycalib-token", "key": "auth_token"}
        images.add(found["image"])
    assert images == {f"raycalib/raycalib:0.1.0-ray{ray}-cu128"}
    spec = cluster_of(ray_object(text_for(name, "1.7.0")))
    assert spec["rayVersion"] == ray
    assert spec["authOptions"] == {"mode": "token", "secretName": "raycalib-token"}


@pytest.mark.parametrize("name", FILES)
def test_gpu_workers_have_their_caches_memory_and_time_to_go(name: str) -> None:
    for group, spec in groups(name).items():
        pod, found = spec["template"]["spec"], container(spec)
        mounts = {each["mountPath"] for each in found["volumeMounts"]}
        assert mounts == {"/dev/shm", "/hf"}, group
        assert {"name": "HF_HOME", "value": "/hf"} in found["env"]
        command = found["lifecycle"]["preStop"]["exec"]["command"][-1]
        assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
        seconds = int(re.findall(r"--deadline-remaining-seconds (\d+)", command)[0])
        assert seconds < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", FILES)
def test_nobody_outside_reaches_it_and_no_secret_is_in_it(name: str) -> None:
    text = text_for(name, "1.7.0")
    documents = {each["kind"]: each for each in yaml.safe_load_all(text)}
    policy = documents["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    own = {"podSelector": policy["podSelector"]}
    operator, port = policy["ingress"][1]["from"][0]["podSelector"], policy["ingress"][1]["ports"]
    assert policy["ingress"][0] == {"from": [own]}
    assert operator == {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}}
    assert port == [{"protocol": "TCP", "port": 8265}]
    assert len(policy["ingress"]) == 2
    found = ray_object(text)
    pods = [cluster_of(found)["headGroupSpec"], *groups(name).values()]
    pods += [{"template": found["spec"]["submitterPodTemplate"]}] if found["kind"] == "RayJob" else []
    for pod in pods:
        assert pod["template"]["metadata"]["labels"] == policy["podSelector"]["matchLabels"]
    assert not re.search(r"hf_[A-Za-z0-9]{20}|sk-[A-Za-z0-9]{20}|AKIA[A-Z0-9]{12}|kind: Secret", text)
    assert "LoadBalancer" not in text
    assert "NodePort" not in text


def test_a_run_ends_by_itself_whatever_happens() -> None:
    spec = ray_object(text_for("kuberay-rayjob", "1.7.0"))["spec"]
    assert 0 < spec["activeDeadlineSeconds"] <= 7 * 24 * 3600
    rules = {
        (rule["policy"], rule["condition"]["jobStatus"]): rule["condition"]["ttlSeconds"]
        for rule in spec["deletionStrategy"]["deletionRules"]
    }
    assert rules == {
        ("DeleteWorkers", "SUCCEEDED"): 0,
        ("DeleteWorkers", "FAILED"): 0,
        ("DeleteCluster", "SUCCEEDED"): 60,
        ("DeleteCluster", "FAILED"): 3600,
    }
    assert "shutdownAfterJobFinishes" not in spec  # the operator refuses it beside rules
    old = ray_object(text_for("kuberay-rayjob", "1.4.2"))["spec"]
    assert (old["shutdownAfterJobFinishes"], old["ttlSecondsAfterFinished"]) == (True, 3600)
    assert spec["backoffLimit"] >= 1
    assert '--out "$RAYCALIB_OUT"' in spec["entrypoint"]


@pytest.mark.parametrize("name", FILES)
def test_the_line_for_older_operators_is_the_one_that_is_tested(name: str) -> None:
    text = (ROOT / "cluster" / f"{name}.yaml").read_text()
    (line,) = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   grep -v")]
    command = line.partition(" | kubectl")[0]
    made = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert list(yaml.safe_load_all(made)) == list(yaml.safe_load_all(text_for(name, "1.4.2")))
