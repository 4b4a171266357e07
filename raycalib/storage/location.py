"""A directory on a local disk or an object store, with atomic writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import json
import os
from pathlib import Path
from tempfile import gettempdir
from typing import Any, BinaryIO
from uuid import uuid4

import fsspec

from raycalib.addresses import secret_problem
from raycalib.errors import ConfigError, DataError, StorageError
from raycalib.secrets import hide_all, hide_message


@dataclass(frozen=True)
class Location:
    """A directory named by a path or an fsspec URI (``s3://…``, ``gs://…``); plain data, so it pickles to workers.

    Raises:
        ConfigError: the URI holds a password, key or token: it is written into files and messages.
    """

    uri: str

    def __post_init__(self) -> None:
        if problem := secret_problem("storage", self.uri):
            raise ConfigError(problem)

    def __truediv__(self, name: str) -> "Location":
        return Location(f"{self.uri.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1]

    @property
    def is_local(self) -> bool:
        """Whether this is a directory of the local file system."""
        return "://" not in self.uri or self.uri.startswith("file://")

    @property
    def local_path(self) -> Path:
        """The local directory.

        Raises:
            StorageError: the location is on an object store.
        """
        if not self.is_local:
            raise StorageError(f"{self.uri} is not a local directory")
        return Path(self.uri.removeprefix("file://"))

    def absolute(self) -> "Location":
        """The same place, independent of the working directory."""
        return Location(str(self.local_path.absolute())) if self.is_local else self

    def names(self, beginning: str = "") -> list[str]:
        """Sorted names of what lies directly here; empty if the place does not exist.

        Args:
            beginning: files alone whose names begin like this, of which an object store lists no others.
        """
        with _as_storage_error("list", self.uri):
            if self.is_local:
                found = [name for name in _names_below(self.local_path) if name.startswith(beginning)]
                return [name for name in found if (self.local_path / name).is_file()] if beginning else found
            filesystem, path = fsspec.core.url_to_fs(self.uri)
            filesystem.invalidate_cache()
            if beginning:
                found = [name[len(path) :].lstrip("/") for name in filesystem.find(path, prefix=beginning)]
                return sorted(name for name in found if name.startswith(beginning) and "/" not in name)
            if not filesystem.exists(path):
                return []
            return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(path, detail=False))

    def sizes(self) -> dict[str, int]:
        """Bytes of every file below this place, by its name from here; empty if the place does not exist."""
        with _as_storage_error("list", self.uri):
            filesystem, path = fsspec.core.url_to_fs(self.uri)
            filesystem.invalidate_cache()
            found = filesystem.find(path, detail=True)
            return {name[len(path) :].lstrip("/"): int(entry["size"]) for name, entry in found.items()}

    def exists(self, name: str) -> bool:
        """Whether a file or directory of this name lies here.

        Raises:
            StorageError: the place cannot be asked.
        """
        with _as_storage_error("look for", (self / name).uri):
            if self.is_local:
                return _is_there(self.local_path / name)
            filesystem, path = fsspec.core.url_to_fs((self / name).uri)
            filesystem.invalidate_cache()  # a listing that is kept does not know what others have written since
            return bool(filesystem.exists(path))

    def read_bytes(self, name: str, most: int | None = None) -> bytes:
        """The file's content, or its first ``most`` bytes.

        Raises:
            StorageError: it cannot be read.
        """
        with _as_storage_error("read", (self / name).uri):
            filesystem, path = fsspec.core.url_to_fs((self / name).uri)
            content: bytes = filesystem.cat_file(path, end=most)
            return content

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """The file's bytes from ``start`` up to ``end``, fewer where it ends before.

        Raises:
            StorageError: it cannot be read.
        """
        with _as_storage_error("read", (self / name).uri):
            filesystem, path = fsspec.core.url_to_fs((self / name).uri)
            content: bytes = filesystem.cat_file(path, start=start, end=end)
            return content

    def size_of(self, name: str) -> int:
        """The file's bytes.

        Raises:
            StorageError: it cannot be asked.
        """
        with _as_storage_error("read", (self / name).uri):
            filesystem, path = fsspec.core.url_to_fs((self / name).uri)
            filesystem.invalidate_cache()
            return int(filesystem.info(path)["size"])

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all: a temporary name and a rename locally, one PUT on an object store.

        Raises:
            StorageError: it cannot be written.
        """
        with _as_storage_error("write", (self / name).uri):
            if self.is_local:
                _write_locally(self.local_path / name, content)
            else:
                filesystem, path = fsspec.core.url_to_fs((self / name).uri)
                filesystem.pipe_file(path, content)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to be written piece by piece, which is there whole when the block ends, and not at all if it raises.

        Raises:
            StorageError: it cannot be written.
        """
        here = (self / name).uri
        if self.is_local:
            target = self.local_path / name
            temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
        else:
            temporary = Path(gettempdir()) / f"raycalib-{uuid4().hex}.tmp"
        try:
            with _as_storage_error("write", here):
                temporary.parent.mkdir(parents=True, exist_ok=True)
                file = temporary.open("wb")
            with file:
                try:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                except OSError as error:  # such as a full disk; other errors are of what is written
                    raise StorageError(f"cannot write {here}: {hide_message(str(error))}") from error
            with _as_storage_error("write", here):
                if self.is_local:
                    temporary.replace(target)
                else:
                    filesystem, path = fsspec.core.url_to_fs(here)
                    filesystem.put_file(str(temporary), path)
        finally:
            temporary.unlink(missing_ok=True)

    def read_json(self, name: str) -> Any:
        """The file's JSON.

        Raises:
            StorageError: it cannot be read.
            DataError: it is not JSON.
        """
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise DataError(f"{(self / name).uri} is not JSON: {error}; delete it and run again") from error

    def write_json(self, name: str, value: Any) -> None:
        """Writes readable JSON without secrets, whole or not at all."""
        text = json.dumps(hide_all(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        self.write_bytes(name, (text + "\n").encode())

    def remove(self) -> None:
        """Removes this directory and all in it."""
        with _as_storage_error("remove", self.uri):
            filesystem, path = fsspec.core.url_to_fs(self.uri)
            filesystem.rm(path, recursive=True)

    def check_writable(self) -> None:
        """Creates the directory and writes and removes one file in it.

        Raises:
            StorageError: the place cannot be written, with the cause.
        """
        probe = f".probe-{uuid4().hex}"
        self.write_bytes(probe, b"")
        with _as_storage_error("write", self.uri):
            filesystem, path = fsspec.core.url_to_fs((self / probe).uri)
            filesystem.rm_file(path)


@contextmanager
def _as_storage_error(action: str, uri: str) -> Iterator[None]:
    """What a file system raises, in one line: object stores have exceptions of their own kind."""
    try:
        yield
    except StorageError:
        raise
    except ImportError as error:
        scheme, cause = uri.split("://")[0], hide_message(str(error))
        raise StorageError(
            f"cannot {action} {uri}: {cause}; the file system of {scheme}:// is a package of its own "
            "(s3fs, gcsfs, adlfs): install it here and on the cluster"
        ) from error
    except Exception as error:
        cause = hide_message(str(error).strip().split("\n")[0]) or type(error).__name__
        raise StorageError(f"cannot {action} {uri}: {cause}") from error


def _is_there(path: Path) -> bool:
    """Whether a local file is; fsspec would say no where a disk or mount does not answer, too."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _names_below(path: Path) -> list[str]:
    """Sorted names in a local directory, the own name of a file, none of what is not there."""
    if not _is_there(path):
        return []
    return sorted(os.listdir(path)) if path.is_dir() else [path.name]


def _write_locally(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
