"""The files of cluster/ that Ray's own launcher reads, as data."""

from pathlib import Path
from typing import Any

from ray.autoscaler._private.util import prepare_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
RENTED = ("aws", "gcp")
RAYS = (*RENTED, "local")
TEXTS = sorted(path for path in CLUSTER.iterdir() if path.is_file() and "kuberay" not in path.name)


def load(name: str) -> dict[str, Any]:
    """One file as it is written."""
    return yaml.safe_load((CLUSTER / f"{name}.yaml").read_text(encoding="utf-8"))


def head_comment(name: str) -> list[str]:
    """The lines of the comment that a file begins with, without their signs."""
    lines = []
    for line in (CLUSTER / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return lines


def shown_commands(name: str) -> list[str]:
    """The commands of that comment: its lines that are further in."""
    return [line.strip() for line in head_comment(name) if line.startswith("  ")]


def filled(name: str) -> dict[str, Any]:
    """The same with Ray's defaults, as `ray up` and the head's autoscaler take it."""
    return prepare_config(load(name))


def autoscaling(name: str) -> AutoscalingConfig:
    """What the head's autoscaler makes of it."""
    return AutoscalingConfig(load(name), skip_content_hash=True)


def workers(name: str) -> dict[str, dict[str, Any]]:
    """All node types but the head's."""
    config = load(name)
    return {key: each for key, each in config["available_node_types"].items() if key != config["head_node_type"]}


def commands(name: str) -> list[str]:
    """Every shell command of a file."""
    config = load(name)
    keys = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    keys += ("head_start_ray_commands", "worker_start_ray_commands")
    return [command for key in keys for command in config.get(key, [])]
