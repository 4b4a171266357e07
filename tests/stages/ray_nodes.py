"""A Ray of several nodes on this machine, to which nodes come and from which they go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster as Nodes


@contextmanager
def joined_nodes(folder: Path, **head: Any) -> Iterator[Nodes]:
    """A head with these resources, joined by this process; it ends with all its nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # a cluster of this test alone, on loopback
        nodes = Nodes(
            initialize_head=True, head_node_args={"include_dashboard": False, "temp_dir": str(folder), **head}
        )
        try:
            ray.init(address=nodes.address, log_to_driver=False)
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()
