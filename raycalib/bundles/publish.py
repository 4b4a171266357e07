"""Puts a bundle, and the labelled answers that it was tuned on, on the hub."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from raycalib.bundles.bundle import Bundle
from raycalib.bundles.card import CARD, DIAGRAM, adapter_rank, model_card
from raycalib.bundles.layout import part_files
from raycalib.bundles.record import RECORD, BaseRecord
from raycalib.errors import ConfigError, RaycalibError, StorageError
from raycalib.storage import Location, read_manifest

DATA_CARD = """---
license: {licence}
tags: [calibration, confidence, raycalib]
configs:
  - config_name: default
    data_files: "data/*.parquet"
---

# {name}

Answers of {base} ({style}) to questions of {source}, each labelled right (`query_label` 1) or wrong (0) by {grader}:
what the bundle [{bundle}](https://huggingface.co/{bundle}) was tuned on. `split` is `train`, `val_select` or
`val_calibrate`; `context` and `target_prompt` are what the model read, `answer` is what it answered, `target` is the
right answer.
"""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What is put where.

    Attributes:
        bundle: that is published.
        to: repository of the hub, ``org/name``.
        labelled: directory of the labelled answers; None leaves them out.
        licence: of the base model, by the hub's name; empty is what is known of it.
        private: whether others may not see it.
    """

    bundle: Bundle
    to: str
    labelled: Location | None = None
    licence: str = ""
    private: bool = False

    @property
    def data(self) -> str:
        """Repository of the labelled answers."""
        return f"{self.to}-labelled"


def check_publishable(publication: Publication) -> None:
    """Checks what a reader of the hub would miss.

    Raises:
        ConfigError: the name is none, there are no figures of a test set, or the labelled answers are not there.
    """
    owner, _, name = publication.to.partition("/")
    if not owner or not name or "/" in name:
        raise ConfigError(f"to: {publication.to!r} is no repository; name it as org/name")
    record = publication.bundle.record
    if not any(figures.n for figures in record.methods[record.default].figures):
        raise ConfigError(
            f"publish: {publication.bundle.place.uri} has no figures of a test set, so that nobody can know how true "
            "its numbers are; evaluate the run on one first"
        )
    if publication.labelled is not None and read_manifest(publication.labelled) is None:
        raise ConfigError(
            f"publish: the labelled answers are not in {publication.labelled.uri}; give --run the run that made the "
            "bundle, or --no-data to leave them out"
        )


@contextmanager
def folders(publication: Publication) -> Iterator[list[tuple[str, str, Path]]]:
    """What would be put on the hub, as (kind, repository, directory), while it lies on this machine."""
    with TemporaryDirectory() as place:
        root = Path(place)
        found = [("model", publication.to, _bundle_folder(publication, root / "bundle"))]
        if publication.labelled is not None:
            found.append(("dataset", publication.data, _data_folder(publication, publication.labelled, root / "data")))
        yield found


def publish(publication: Publication) -> list[str]:
    """Puts the bundle and its data on the hub; returns their addresses.

    The token is that of the environment (``HF_TOKEN``), and of nowhere else.

    Raises:
        ConfigError: there is no token, or see ``check_publishable``.
        StorageError: the hub does not take it.
    """
    check_publishable(publication)
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise ConfigError("publish: no token: export HF_TOKEN with one that may write (huggingface.co/settings/tokens)")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api: Any = HfApi(token=token, endpoint=os.environ.get("HF_ENDPOINT"))
    addresses = list[str]()
    with folders(publication) as found:
        for kind, repository, folder in found:
            try:
                made = api.create_repo(repository, repo_type=kind, private=publication.private, exist_ok=True)
                api.upload_folder(
                    repo_id=repository, folder_path=folder, repo_type=kind, commit_message="Bundle made by raycalib"
                )
            except (HfHubHTTPError, OSError, ValueError) as error:
                cause = str(error).strip().split("\n")[0]
                raise StorageError(f"publish: the hub does not take {repository}: {cause}") from error
            addresses.append(str(made))
    return addresses


def file_lines(found: Sequence[tuple[str, str, Path]]) -> list[str]:
    """The files of each repository with their sizes, and the card."""
    lines = list[str]()
    for kind, repository, folder in found:
        lines.append(f"{kind} {repository}:")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        lines += [f"  {path.stat().st_size:>13,}  {path.relative_to(folder)}" for path in files]
    return lines


def _bundle_folder(publication: Publication, folder: Path) -> Path:
    """The bundle's own files alone, without paths of this machine."""
    bundle = publication.bundle
    record = replace(bundle.record, base=of_no_machine(bundle.record.base))
    has_diagram = bundle.place.exists(DIAGRAM)
    for name in [*part_files(bundle.place, record.methods), *([DIAGRAM] if has_diagram else [])]:
        _write(folder / name, bundle.place.read_bytes(name))
    rank = adapter_rank(bundle.place)
    card = model_card(record, publication.to, has_diagram=has_diagram, licence=publication.licence, rank=rank)
    _write(folder / CARD, card.encode())
    Location(str(folder)).write_json(RECORD, record.as_json())
    return folder


def of_no_machine(base: BaseRecord) -> BaseRecord:
    """The base model without the directory that it lies in here."""
    if base.where != "local":
        return base
    return replace(base, name=Path(base.name).name, path=Path(base.path).name)


def _data_folder(publication: Publication, labelled: Location, folder: Path) -> Path:
    manifest = read_manifest(labelled)
    assert manifest is not None, "it was checked"
    for number, name in enumerate(manifest.shards):
        _write(folder / "data" / f"labelled-{number:05d}.parquet", labelled.read_bytes(name))
    record = publication.bundle.record
    card = DATA_CARD.format(
        licence=publication.licence or "other",
        name=publication.data.partition("/")[2],
        base=of_no_machine(record.base).name,
        style=record.style,
        source=record.trained_on.source,
        grader=record.trained_on.grader,
        bundle=publication.to,
    )
    _write(folder / CARD, card.encode())
    return folder


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def find_bundle(run: Location, combo: str) -> Bundle:
    """A run's bundle of a combo, as ``llama2:7b/oe``.

    Raises:
        ConfigError: it has none.
    """
    from raycalib.bundles.bundle import open_bundle

    found = dict[str, Bundle]()
    for name in (run / "bundles").names():
        try:
            bundle = open_bundle((run / "bundles" / name).uri)
        except RaycalibError:
            continue
        found[f"{bundle.record.base.name}/{bundle.record.style}"] = bundle
    if combo not in found:
        raise ConfigError(f"combo: {combo!r} has no bundle in {run.uri}/bundles; allowed: {', '.join(found) or 'none'}")
    return found[combo]
