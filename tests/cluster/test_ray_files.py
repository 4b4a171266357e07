"""aws.yaml, gcp.yaml and local.yaml: what Ray accepts, and what a cluster that costs money must have."""

from dataclasses import replace
import json
from pathlib import Path
import re
import shlex
from typing import Any

import jsonschema
import pytest
import ray.autoscaler

from raycalib.cli import pipeline_config
from raycalib.recipes import recipe
from tests.cluster.cluster_files import (
    RAYS,
    RENTED,
    ROOT,
    TEXTS,
    autoscaling,
    commands,
    filled,
    load,
    shown_commands,
    workers,
)

SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
CPU_IMAGE = f"rayproject/ray:{PINS['ray']}-py311-cpu"
GPU_IMAGE = f"rayproject/ray:{PINS['ray']}-py311-cu128"
PAIRS = [(cloud, kind) for cloud in RENTED for kind in ("gpu-7b", "gpu-13b", "cpu")]
DOCKER_FIELDS = SCHEMA["properties"]["docker"]["properties"]
PROVIDER_FIELDS = {
    "aws": {"type", "region", "availability_zone", "use_internal_ips", "cache_stopped_nodes"},
    "gcp": {"type", "region", "availability_zone", "project_id", "use_internal_ips", "cache_stopped_nodes"},
    "local": {"type", "head_ip", "worker_ips"},
}


@pytest.mark.parametrize("name", RAYS)
def test_rays_own_schema_accepts_it(name: str) -> None:
    jsonschema.validate(load(name), SCHEMA)
    ray.autoscaler._private.util.validate_config(filled(name))


@pytest.mark.parametrize("name", RAYS)
def test_unknown_fields_are_refused_where_the_schema_is_open_too(name: str) -> None:
    config = load(name)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"idle_timeout": 5}, SCHEMA)
    assert config["provider"].keys() <= PROVIDER_FIELDS[name]
    for node_type in config.get("available_node_types", {}).values():
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(config | {"available_node_types": {"head": node_type | {"min_worker": 0}}}, SCHEMA)


@pytest.mark.parametrize("name", RENTED)
def test_images_are_exact_and_have_the_pinned_ray(name: str) -> None:
    scaler = autoscaling(name)
    images = {each: scaler.get_docker_config(each)["image"] for each in load(name)["available_node_types"]}
    assert images == {each: GPU_IMAGE if each.startswith("gpu") else CPU_IMAGE for each in images}
    assert load(name)["docker"].keys() <= DOCKER_FIELDS.keys()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_image_goes_without_a_tag(path: Path) -> None:
    for image in re.findall(r"rayproject/[\w./-]+(?::[\w.-]+)?", path.read_text()):
        assert re.fullmatch(rf"rayproject/ray:{re.escape(PINS['ray'])}-py311-(cpu|cu128)", image)


@pytest.mark.parametrize("name", RENTED)
def test_the_head_has_no_gpu_and_takes_no_work(name: str) -> None:
    config = load(name)
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    machine = head["node_config"].get("InstanceType") or head["node_config"]["machineType"]
    assert machine in {"m7i.2xlarge", "n2-standard-8"}  # 8 cores and 32 GiB, without a GPU
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["node_config"].get("scheduling", {}).get("provisioningModel", "STANDARD") == "STANDARD"


def test_the_head_of_ones_own_machines_takes_no_work() -> None:
    start = load("local")["head_start_ray_commands"][-1]
    assert "--num-cpus=0 --num-gpus=0" in start


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_behind_each_spot_type_is_one_on_demand_that_is_the_same_to_ray(name: str, kind: str) -> None:
    spot, on_demand = workers(name)[f"{kind}-spot"], workers(name)[f"{kind}-on-demand"]
    assert (spot["priority"], on_demand["priority"]) == (10, 0)
    for field in ("resources", "max_workers", "idle_timeout_s", "docker"):
        assert spot.get(field) == on_demand.get(field), field
    assert is_spot(spot)
    assert not is_spot(on_demand)
    assert (spot["labels"]["ray.io/market-type"], on_demand["labels"]["ray.io/market-type"]) == ("spot", "on-demand")
    assert spot["labels"] | {"ray.io/market-type": ""} == on_demand["labels"] | {"ray.io/market-type": ""}
    market = ("InstanceMarketOptions", "scheduling")
    same = [
        {key: value for key, value in each["node_config"].items() if key not in market} for each in (spot, on_demand)
    ]
    assert same[0] == same[1]


def is_spot(node_type: dict[str, Any]) -> bool:
    """Whether the provider may take the machine."""
    config = node_type["node_config"]
    spot_of_aws = config.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    return spot_of_aws or config.get("scheduling", {}).get("provisioningModel") == "SPOT"


@pytest.mark.parametrize("name", RENTED)
def test_workers_come_from_nothing_and_go_again(name: str) -> None:
    assert len(workers(name)) == 6
    for key, each in workers(name).items():
        assert each["min_workers"] == 0
        assert each["max_workers"] > 0
        assert each["idle_timeout_s"] == (300 if key.startswith("gpu") else 1800), key
        assert ("ray.io/accelerator-type" in each["labels"]) == key.startswith("gpu")
        assert all(type(value) is int for value in each["resources"].values())
    assert 0 < load(name)["max_workers"] <= 16
    assert load(name)["provider"]["cache_stopped_nodes"] is False  # a stopped machine's disk costs money for ever


@pytest.mark.parametrize("name", RAYS)
def test_the_token_is_on_and_sent_to_every_machine(name: str) -> None:
    config = load(name)
    mounts = {remote.replace("/home/ray", "~"): local for remote, local in config["file_mounts"].items()}
    assert mounts["~/.ray/auth_token"] == "~/.ray/auth_token"
    if name in RENTED:
        assert "-e RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    else:
        starts = [config[f"{role}_start_ray_commands"][-1] for role in ("head", "worker")]
        assert all("export RAY_AUTH_MODE=token" in start for start in starts)


@pytest.mark.parametrize("name", RAYS)
def test_what_ray_starts_with(name: str) -> None:
    config = load(name)
    for role in ("head", "worker"):
        (start,) = [each for each in config[f"{role}_start_ray_commands"] if "ray start " in each]
        assert start.startswith("ulimit -n 65536;")
        assert "--dashboard-host=127.0.0.1" in start or role == "worker"
        assert "0.0.0.0" not in start
    if name in RENTED:
        options = config["docker"]["run_options"]
        assert "--ulimit nofile=65536:65536" in options
        assert "-e HF_HOME=/cache/huggingface" in options
        (cache,) = [each.split()[1].split(":") for each in options if each.startswith("-v")]
        assert cache[1] == "/cache"
        assert any(f"chmod 1777 {cache[0]}" in each for each in config["initialization_commands"])
        assert "disable_shm_size_detection" not in config["docker"]  # Ray gives /dev/shm its share of the memory
        assert not any("shm-size" in each for each in options)


@pytest.mark.parametrize("name", RENTED)
def test_machines_are_reached_without_an_open_port(name: str) -> None:
    config = load(name)
    assert config["provider"]["use_internal_ips"] is True
    assert config["auth"]["ssh_proxy_use_node_id"] is True
    assert all(each in config["auth"]["ssh_proxy_command"] for each in ("%h", "%p"))
    place = config["provider"]["availability_zone" if name == "gcp" else "region"]
    assert place in config["auth"]["ssh_proxy_command"]
    for node_type in config["available_node_types"].values():
        for interface in node_type["node_config"].get("networkInterfaces", []):
            assert "accessConfigs" not in interface


@pytest.mark.parametrize("name", RENTED)
def test_spot_machines_are_watched_and_forgotten_ones_end(name: str) -> None:
    config = load(name)
    (watcher,) = [each for each in config["worker_start_ray_commands"] if "preempted.py" in each]
    assert watcher.startswith("setsid --fork ")
    assert f"preempted.py {name} " in watcher
    (ends,) = [each for each in config["initialization_commands"] if "ends.sh" in each]
    mount = f"/tmp/ray_tmp_mount/{config['cluster_name']}"
    assert f"{mount}/home/ray/raycalib/cluster/ends.sh 72" in ends
    assert config["file_mounts"]["/home/ray/raycalib/cluster"] == "cluster"


@pytest.mark.parametrize("name", RAYS)
def test_dependencies_come_in_exact_versions(name: str) -> None:
    config = load(name)
    installs = [each for each in commands(name) if "pip install" in each]
    assert installs
    assert all("-c ~/raycalib/constraints.txt" in each for each in installs)
    assert all((ROOT / local).exists() for local in config["file_mounts"].values() if not local.startswith("~"))


@pytest.mark.parametrize(("name", "most"), [("aws", 5), ("gcp", 5), ("local", 3), ("skypilot", 4)])
def test_five_commands_at_most(name: str, most: int) -> None:
    shown = shown_commands(name)
    assert 2 < len(shown) <= most
    assert any("tunnel" in line for line in shown) or name == "skypilot"


@pytest.mark.parametrize("name", [*RAYS, "skypilot"])
def test_the_run_that_is_shown_is_the_papers_recipe(name: str) -> None:
    told = load("skypilot")["envs"]["COMMAND"] if name == "skypilot" else shown_commands(name)[-1]
    arguments = shlex.split(re.sub(r"\$\([^)]*\)", "x", told.rpartition("full_pipeline.py")[2]))
    config = pipeline_config(arguments, "A job.")
    asked = replace(recipe("paper"), out=config.out, ray=config.ray, tuning=config.tuning)
    assert config == asked
    assert config.ray.gpus_per_worker == 1
    assert replace(config.tuning, gradient_checkpointing=False) == recipe("paper").tuning
