"""Addresses of places and servers, which are written down and shown, and so must hold no password, key or token."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
import re
from typing import Any

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(?=([^\r\n]*))(\S*)", re.IGNORECASE)
"""Scheme, the rest of the line, since a password may hold spaces, and the rest of the address."""

WITH_PASSWORD = re.compile(r"[^/@]*:(?!\d*(?:/|$))[^@]*@")
PARAMETER = re.compile(r"[?#].*=")
USER_ALONE = {"abfs", "abfss", "adl", "ftp", "ftps", "hdfs", "oci", "sftp", "smb", "ssh", "wasb", "wasbs", "webhdfs"}
"""Schemes in which a name before the host is a user's or a container's, and nothing secret by itself."""

COLON_IS_NO_PASSWORD = {"github"}
"""``github://org:repository@branch/path`` of fsspec."""


def secret_in(text: str) -> str:
    """What addresses in the text hold that must not be written down; empty where there is nothing.

    >>> secret_in("ftp://me:pass@host/a"), secret_in("https://host/a?sig=ab"), secret_in("s3://bucket/a")
    ('a password', 'a query or fragment', '')
    """
    for scheme, line, rest in ADDRESS.findall(text):
        kind = scheme.lower().rpartition("+")[2]
        if kind in COLON_IS_NO_PASSWORD:
            continue
        if WITH_PASSWORD.match(rest) or WITH_PASSWORD.match(line):
            return "a password"
        if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0] and kind not in USER_ALONE:
            return "a user's name"
        if PARAMETER.search(rest):
            return "a query or fragment"
    return ""


def secret_problem(name: str, text: str) -> str:
    """What is wrong with the text of a field, without the text; empty where nothing is."""
    if not (held := secret_in(text)):
        return ""
    return (
        f"{name}: its address holds {held}, which would be written down and shown; give it in the environment, such as "
        "FSSPEC_FTP_USERNAME and FSSPEC_FTP_PASSWORD for ftp://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for "
        "s3://, on each machine, and leave it out here"
    )


def secret_problems(value: Any, name: str = "") -> list[str]:
    """The problems of all texts in a configuration, by the fields' full names."""
    return [problem for field, text in _texts(value, name) if (problem := secret_problem(field, text))]


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _texts(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for part in (*value, *value.values()):
            yield from _texts(part, name)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _texts(part, name)
