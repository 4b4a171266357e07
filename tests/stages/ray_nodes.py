"""A Ray of several nodes on this machine, to which nodes come and from which they go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private.authentication import authentication_token_setup as authentication
from ray.cluster_utils import Cluster as Nodes


def agree_on_a_token() -> None:
    """Lets this process and all that it starts from now on know of each other as ``ray.init`` does for a local head.

    Ray reads the mode once per process, so that a test cannot choose another one for a while.
    """
    authentication.enable_token_auth_by_default()
    authentication.ensure_token_if_auth_enabled()


@contextmanager
def joined_nodes(folder: Path, **head: Any) -> Iterator[Nodes]:
    """A head with these resources, joined by this process; it ends with all its nodes."""
    agree_on_a_token()
    nodes = Nodes(initialize_head=True, head_node_args={"include_dashboard": False, "temp_dir": str(folder), **head})
    try:
        ray.init(address=nodes.address, log_to_driver=False)
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()
