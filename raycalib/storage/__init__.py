"""Where stages keep what they make: any fsspec URI, shards that exist whole or not at all, manifests written last."""

from raycalib.storage.location import Location
from raycalib.storage.manifest import Manifest, git_commit, lost_files, read_manifest, versions, write_manifest
from raycalib.storage.shards import (
    find_shards,
    read_rows,
    read_shard,
    read_vectors,
    rows_without_secrets,
    write_shard,
)
from raycalib.storage.tables import read_schema, read_table, read_tables
from raycalib.storage.writable import check_can_write, check_is_kept

__all__ = [
    "Location",
    "Manifest",
    "check_can_write",
    "check_is_kept",
    "find_shards",
    "git_commit",
    "lost_files",
    "read_manifest",
    "read_rows",
    "read_schema",
    "read_shard",
    "read_table",
    "read_tables",
    "read_vectors",
    "rows_without_secrets",
    "versions",
    "write_manifest",
    "write_shard",
]
