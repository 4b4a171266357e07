"""Trackers of experiments that a sweep may tell of its trials, and what they need before it starts."""

from collections.abc import Sequence
from importlib.util import find_spec
import netrc
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from raycalib.errors import ConfigError
from raycalib.storage import Location

TrackerName = Literal["mlflow", "wandb"]

WANDB_SERVER = "https://api.wandb.ai"
OFFLINE = {"offline", "dryrun", "disabled"}
"""Modes of Weights & Biases that ask no server."""


def require_trackers(names: Sequence[str], out: str) -> None:
    """Looks for the packages and settings of the trackers, before anything is started.

    Args:
        names: of the trackers.
        out: the run's directory.

    Raises:
        ConfigError: something is missing, with what to do.
    """
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"trackers: {name} needs a package that is not installed: pip install 'raycalib[{name}]'")
    if "mlflow" in names:
        _check_mlflow(out)
    if "wandb" in names:
        _check_wandb()


def _check_mlflow(out: str) -> None:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri and not Location(out).is_local:
        raise ConfigError(
            f"trackers: mlflow keeps its runs in a database beside a local --out, and {out} is none; name a server by "
            "MLFLOW_TRACKING_URI in the environment"
        )
    if uri.startswith("http"):
        return
    missing = [name for name in ("sqlalchemy", "alembic") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"trackers: mlflow's database needs {' and '.join(missing)}: pip install 'raycalib[mlflow]', or name a "
            "server by MLFLOW_TRACKING_URI"
        )


def _check_wandb() -> None:
    """Without a key its library would ask for one on the terminal."""
    given = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
    if os.environ.get("WANDB_MODE", "").lower() in OFFLINE or any(os.environ.get(name) for name in given):
        return
    server = os.environ.get("WANDB_BASE_URL") or WANDB_SERVER
    if not _is_logged_in(urlsplit(server).hostname or server):
        raise ConfigError(
            f"trackers: wandb has no key for {server}; set WANDB_API_KEY in the environment of this command, log in by "
            "'wandb login', or set WANDB_MODE=offline, which keeps runs on disk for 'wandb sync'"
        )


def _is_logged_in(host: str) -> bool:
    """Whether ``wandb login`` has left a key for the server."""
    given = os.environ.get("NETRC")
    files = [Path(given)] if given else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for file in files:
        try:
            if netrc.netrc(str(file)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
