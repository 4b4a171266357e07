"""Where the rows of a split are: below the data root, or on the hub."""

from collections.abc import Iterator, Sequence
from functools import partial
import os
from pathlib import Path
from typing import Any

from raycalib.errors import DataError
from raycalib.hashing import stable_hash
from raycalib.sources.files.arrow_rows import BATCH_ROWS, arrow_rows
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.declaration import HubSource
from raycalib.sources.reading import READERS, Table, local_table


def open_split(source: HubSource, hub_split: str, data_root: str | None = None) -> Table:
    """The rows of one hub split, in the hub's order.

    Args:
        source: what to read.
        hub_split: a value of ``source.splits``, or ``source.shots_from``.
        data_root: read ``data_root/<name>/<hub split>.{parquet,jsonl,csv}``, where ``mmlu:anatomy`` is
            ``mmlu/anatomy``; None asks the hub.

    Raises:
        DataError: the rows cannot be found.
    """
    if data_root is None and source.manual is None:
        return hub_table(source.name, source.hub_id, source.config, source.revision, hub_split)
    if data_root is None:
        table = local_table(_find_cached(source, hub_split))
    else:
        table = local_table(_find(source, hub_split, Path(data_root)))
    if source.manual is not None:
        table = table._replace(rows=partial(_renamed, table, source.manual.columns))
    return table


def hub_table(name: str, hub_id: str, config: str | None, revision: str | None, hub_split: str) -> Table:
    """One split of a dataset on the hub; it is fetched when it is first read, and kept in the hub's cache."""
    place = f"{hub_id} ({config or 'default'}) {hub_split}"
    rows = partial(_hub_rows, name, hub_id, config, revision, hub_split)
    return Table(
        place, rows, partial(_hub_columns, rows), partial(stable_hash, hub_id, config or "", revision or "", hub_split)
    )


def find_local(directory: Path, hub_split: str) -> list[Path]:
    """The files of a split in a directory, whatever their kind."""
    return [path for ending in READERS if (path := directory / f"{hub_split}{ending}").is_file()]


def local_splits(directory: Path) -> list[str]:
    """The splits that a directory has files of, sorted."""
    return sorted({path.stem for path in directory.iterdir() if path.suffix in READERS}) if directory.is_dir() else []


def one_file(name: str, directory: Path, hub_split: str, way_out: str) -> Path:
    """The one file of a split.

    Raises:
        DataError: there is none, or there are several.
    """
    found = find_local(directory, hub_split)
    if len(found) > 1:
        raise DataError(f"source {name}: {' and '.join(map(str, found))} are the same split; keep one")
    if not found:
        endings = ", ".join(READERS)
        raise DataError(f"source {name}: {directory / hub_split} ({endings}) does not exist; {way_out}")
    return found[0]


def hub_splits(name: str, hub_id: str, config: str | None) -> list[str]:
    """The names of a dataset's splits, as the hub has them.

    Raises:
        DataError: it cannot be asked, with what was tried and the way out.
    """
    try:
        import datasets

        return list(datasets.get_dataset_split_names(hub_id, config))
    except Exception as error:  # as in load_dataset
        raise hub_error(name, hub_id, config, None, error) from error


def load_dataset(name: str, hub_id: str, config: str | None, revision: str | None, hub_split: str) -> Any:
    """The split as the ``datasets`` package has it.

    Raises:
        DataError: it cannot be loaded, with what was tried and the way out.
    """
    try:
        import datasets

        return datasets.load_dataset(hub_id, config, split=hub_split, revision=revision)
    except Exception as error:  # datasets and the hub client raise many kinds, from OSError to their own
        raise hub_error(name, f"split {hub_split!r} of {hub_id}", config, revision, error) from error


def hub_error(name: str, what: str, config: str | None, revision: str | None, error: Exception) -> DataError:
    """What was tried on the hub, why it failed, and what to do."""
    cause = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(
        f"source {name}: {what} (configuration {config or 'default'}, revision {revision or 'newest'}) cannot be "
        f"loaded: {cause}; check the network, fill the hub's cache (HF_HOME) beforehand and set HF_HUB_OFFLINE=1, or "
        "give a local copy with --data-root DIR (docs/sources.md)"
    )


def _find(source: HubSource, hub_split: str, data_root: Path) -> Path:
    directory = data_root.joinpath(*source.name.split(":"))
    if source.category is not None and not find_local(directory, hub_split):
        directory = directory.parent if find_local(directory.parent, hub_split) else directory
    if source.manual is None:
        config = f", configuration {source.config}" if source.config else ""
        way_out = (
            f"put the split {hub_split!r} of {source.hub_id}{config} there, or leave out --data-root to ask the hub"
        )
    else:
        way_out = source.manual.instructions
    return one_file(source.name, directory, hub_split, way_out)


def _find_cached(source: HubSource, hub_split: str) -> Path:
    """The csv of a source that no hub has, where the paper's code has it.

    Raises:
        DataError: there is none, or several.
    """
    assert source.manual is not None
    folder = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser() / source.manual.cached
    found = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if len(found) > 1:
        raise DataError(
            f"source {source.name}: {folder} has {len(found)} csv files, and which is the {hub_split} file is not "
            "known; leave that one there"
        )
    if not found:
        raise DataError(
            f"source {source.name}: {source.hub_id} is not on the hub; {source.manual.instructions}; put it into "
            f"${{HF_HOME}}/{source.manual.cached}, or at DIR/{source.name}/{hub_split}.csv and give --data-root DIR"
        )
    return found[0]


def _renamed(table: Table, names: Any, columns: Sequence[str] | None) -> Iterator[RawRow]:
    for row in table.rows(None):
        yield row._replace(values={names.get(name, name): value for name, value in row.values.items()})


def _hub_rows(
    name: str, hub_id: str, config: str | None, revision: str | None, hub_split: str, columns: Sequence[str] | None
) -> Iterator[RawRow]:
    dataset = load_dataset(name, hub_id, config, revision, hub_split)
    number = 0
    # Tables of raw values: no decoding of features, and the dataset stays on disk, of which a table is a window.
    for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
        yield from arrow_rows(table, number)
        number += table.num_rows


def _hub_columns(rows: Any) -> list[str]:
    return next((list(row.values) for row in rows(None)), [])
