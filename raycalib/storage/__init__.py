"""Where stages keep what they make: any fsspec URI, shards that exist whole or not at all, manifests written last."""

from raycalib.storage.location import Location
from raycalib.storage.manifest import Manifest, git_commit, read_manifest, versions, write_manifest
from raycalib.storage.shards import find_shards, read_rows, read_shard, read_vectors, write_shard

__all__ = [
    "Location",
    "Manifest",
    "find_shards",
    "git_commit",
    "read_manifest",
    "read_rows",
    "read_shard",
    "read_vectors",
    "versions",
    "write_manifest",
    "write_shard",
]
