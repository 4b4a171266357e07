"""The shards of given rows by question set, and the rows that were refused. No Ray."""

from collections import Counter
from collections.abc import Sequence
import json
import tempfile
from typing import IO

import pyarrow as pa

from raycalib.records import Row
from raycalib.secrets import hide_all
from raycalib.sources.given.rows import RefusedGiven
from raycalib.sources.given.splits import TRAINING_SPLITS, set_of
from raycalib.storage import Location, write_shard

MAX_SHARD_CHARACTERS = 2**25

SetKey = tuple[str, str]
"""A question set and a prompt style."""


class SetShards:
    """The shards of one set and style; of each split no more than one shard's rows are held.

    Attributes:
        place: where they are written.
        counts: rows out, of these with an error, unscored, and by split and style.
    """

    def __init__(self, place: Location, schema: pa.Schema, rows_per_shard: int) -> None:
        self.place, self._schema, self._rows_per_shard = place, schema, rows_per_shard
        self.counts: Counter[str] = Counter(out=0, errors=0)
        if "unscored_reason" in schema.names:
            self.counts["unscored"] = 0
        self._rows: dict[str, list[Row]] = {}
        self._characters: Counter[str] = Counter()
        self._shards: dict[str, list[str]] = {}
        self._n_shards = 0

    def add(self, row: Row) -> None:
        """Takes a row; writes a shard where it is the last that fits."""
        split = row["split"]
        rows = self._rows.setdefault(split, [])
        rows.append(row)
        self._characters[split] += sum(len(row[name]) for name in ("prompt", "context", "output"))
        self.counts["out"] += 1
        self.counts[f"{split}/{row['style']}"] += 1
        self.counts["errors"] += bool(row["error"])
        if row.get("unscored_reason"):
            self.counts["unscored"] += 1
        if len(rows) >= self._rows_per_shard or self._characters[split] >= MAX_SHARD_CHARACTERS:
            self._flush(split)

    def finish(self) -> tuple[str, ...]:
        """The names of all shards, split after split."""
        splits = sorted(self._rows, key=_place_of_split)
        for split in splits:
            self._flush(split)
        return tuple(name for split in splits for name in self._shards[split])

    def _flush(self, split: str) -> None:
        names = self._shards.setdefault(split, [])
        if rows := self._rows[split]:
            names.append(write_shard(self.place, self._n_shards, rows, self._schema))
            self._n_shards += 1
            self._rows[split], self._characters[split] = [], 0


def _place_of_split(split: str) -> tuple[int, str]:
    return (TRAINING_SPLITS.index(split) if split in TRAINING_SPLITS else len(TRAINING_SPLITS), split)


class RefusedSpools:
    """Refused rows on disk, by what is known of their set and style.

    Attributes:
        counts: rows by the set and style that they are listed with.
    """

    def __init__(self) -> None:
        self.counts: Counter[SetKey] = Counter()
        self._files: dict[SetKey, IO[bytes]] = {}
        self._n_rows: Counter[SetKey] = Counter()

    def __enter__(self) -> "RefusedSpools":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, row: RefusedGiven) -> None:
        """Takes a row."""
        key = (set_of(row.split), row.style)
        if key not in self._files:
            self._files[key] = tempfile.TemporaryFile()  # noqa: SIM115 — closed when the context is left
        self._files[key].write(json.dumps(hide_all(row.record())).encode() + b"\n")
        self._n_rows[key] += 1

    def by_set(self, keys: Sequence[SetKey], styles: Sequence[str]) -> dict[SetKey, bytes]:
        """The lines by output; those of a style that is not wanted are left.

        Args:
            keys: of the outputs.
            styles: that are wanted.
        """
        lines: dict[SetKey, bytes] = {}
        for known, file in self._files.items():
            if known[1] and known[1] not in styles:
                continue
            of_style = [key for key in keys if key[1] == known[1]] or list(keys)
            home = known if known in keys else of_style[0]
            file.seek(0)
            lines[home] = lines.get(home, b"") + file.read()
            self.counts[home] += self._n_rows[known]
        return lines
