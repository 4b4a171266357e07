"""The model that a bundle belongs to: found again by what the bundle says, or by where the user has it."""

from pathlib import Path

from raycalib.bundles.record import BaseRecord, Where
from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource, embedded_root, find_model


def base_record(source: ModelSource) -> BaseRecord:
    """What a bundle says of a model whose revision is known."""
    where: Where = "hub"
    if source.is_local:
        where = "embedded" if Path(source.path).parent == embedded_root() else "local"
    path = Path(source.path).name if where == "embedded" else source.path
    return BaseRecord(
        name=source.name, path=path, where=where, revision=source.revision, fingerprint=source.fingerprint()
    )


def base_source(record: BaseRecord, given: str | None = None) -> ModelSource:
    """Where the model's weights are.

    Args:
        record: of a bundle.
        given: a directory or hub id in place of what the bundle says.

    Raises:
        ModelError: it is not where the bundle says, or has other weights than those that the bundle was made on.
    """
    source = _recorded(record) if given is None else find_model(given)
    is_same_kind = source.is_local == (record.where != "hub")
    if source.is_local and is_same_kind and source.fingerprint() != record.fingerprint:
        raise ModelError(
            f"bundle: {source.path} has other weights, or another tokenizer, than the {record.name} that the bundle "
            "was made on: its confidences would be wrong; give that model by --base (base=)"
        )
    return source


def _recorded(record: BaseRecord) -> ModelSource:
    if record.where == "hub":
        return ModelSource(name=record.name, path=record.path, is_local=False, revision=record.revision)
    path = embedded_root() / Path(record.path).name if record.where == "embedded" else Path(record.path)
    if not (path / "config.json").is_file():
        raise ModelError(
            f"bundle: its base model {record.name} was in {path}, which is not here; give its directory or hub id by "
            "--base (base=)"
        )
    return ModelSource(name=record.name, path=str(path), is_local=True)
