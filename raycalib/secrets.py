"""The run's secrets, and texts without them: one filter for all that is written down or shown.

A server may quote the key that it was asked with, whole or in part, in a reply, an error or a header; a library may
put a password into its message. What a process knows of secrets are its environment (keys, tokens and passwords by the
names of variables, passwords of proxies), the hub's token file, and what is given to ``remember``.
"""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
import contextlib
from functools import lru_cache
import html
import json
import math
import os
from pathlib import Path
import re
from typing import Any, NamedTuple
from urllib.parse import quote

MARK = "<key>"
LEAST = 8
"""Shorter secrets are placeholders of servers of one's own (``none``, ``EMPTY``), and so short parts say nothing."""

LEAST_WORD = 16
"""A secret of letters alone is taken for a word below this length: hiding it would change texts."""

SECRET_NAME = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|CONNECTION_STRING|(?<!^)_(PWD|PASS|PAT))(_?\d+)?$",
    re.IGNORECASE,
)
WATCHED = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "HTTP_PROXY")
"""The environment is read again where one of these changes, or another variable comes or goes."""

PASSWORD = re.compile(
    r"://([^/\s@'\"<>]*:[^\s@'\"<>]*"
    r"|[^/@'\"<>\r\n]*:(?!\d*(?:[\s/]|$))[^/@'\"<>\r\n]*)@"  # spaces as well, but for those behind a port
)
PARAMETER = re.compile(
    r"([?&#;][\w.-]*(?:sig|signature|token|key|secret|passw(?:or)?d|pwd|credential)s?=)(?!<key>)[^&#;\s'\"<>]+",
    re.IGNORECASE,
)
BEARER = re.compile(r"bearer\s+\S+", re.IGNORECASE)
AUTHORIZATION = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?\s*basic\s+)[^\s'\"]+", re.IGNORECASE)

_remembered: set[str] = set()


def remember(*secrets: str) -> None:
    """Makes this process know secrets that are not in its environment."""
    _remembered.update(secret for secret in secrets if _is_telling(secret))


def hide(text: str, *, parts: bool = True) -> str:
    """The text without the secrets that this process knows, in any of the forms that a server may quote them in.

    Args:
        text: any.
        parts: also hide parts of 8 characters or more, such as a key that was cut off has left; not for texts of a
            user's own, in which a part of a key may be a word.
    """
    if len(text) < LEAST:
        return text
    needles = _needles(frozenset(_remembered | _environment(_watched())))
    lowered = text.lower()
    if len(lowered) != len(text):  # of a few letters, such as İ
        lowered = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    found = sorted(run for needle in needles for run in _runs(lowered, needle, parts))
    return _cut_out(text, found) if found else text


def hide_all(value: Any, *, parts: bool = False) -> Any:
    """Plain values (lists, dictionaries, texts) without secrets in any text; the value itself where there are none."""
    if isinstance(value, str):
        return hide(value, parts=parts)
    if isinstance(value, Mapping):
        return {hide_all(name, parts=parts): hide_all(part, parts=parts) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [hide_all(part, parts=parts) for part in value]
    return value


def hide_message(text: str) -> str:
    """A message without secrets, known ones and whatever looks like one: passwords in addresses, bearer tokens.

    >>> hide_message("cannot read ftp://me:pass@host/a?sig=ab12 Bearer xyz")
    'cannot read ftp://<key>@host/a?sig=<key> Bearer <key>'
    """
    text = PARAMETER.sub(rf"\1{MARK}", PASSWORD.sub(f"://{MARK}@", hide(text)))
    return AUTHORIZATION.sub(rf"\1{MARK}", BEARER.sub(f"Bearer {MARK}", text))


class _Needle(NamedTuple):
    """A form of a secret, in small letters, and the least length of a part of it."""

    text: str
    least: int


def _is_telling(secret: str) -> bool:
    return len(secret) >= LEAST and not (secret.isalpha() and len(secret) < LEAST_WORD)


def _watched() -> tuple[Any, ...]:
    return (len(os.environ), *(os.environ.get(name) for name in WATCHED))


@lru_cache(maxsize=4)
def _environment(watched: tuple[Any, ...]) -> frozenset[str]:
    """Secrets of this process's environment and of the hub's token file."""
    found = set()
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and not _is_path(value):
            found.add(value.strip())
        found |= {match[1].partition(":")[2] for match in PASSWORD.finditer(value)}
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    path = Path(os.environ.get("HF_TOKEN_PATH") or f"{home}/token")
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # there is none, or no home
        found.add(path.expanduser().read_text(encoding="utf-8").strip())
    return frozenset(secret for secret in found if _is_telling(secret))


def _is_path(value: str) -> bool:
    """Whether it is a path, as of a file that holds the secret, and not a secret that begins like one.

    Of one that is not there (any more) the first folder is: without that, ``/home/me`` would be hidden everywhere.
    """
    if not value.startswith(("/", "~", ".")):
        return False
    parts = value.split("/")
    return os.path.exists(os.path.expanduser(value)) or (
        value.startswith("/") and len(parts) > 2 and bool(parts[1]) and os.path.isdir(f"/{parts[1]}")
    )


@lru_cache(maxsize=16)
def _needles(secrets: frozenset[str]) -> tuple[_Needle, ...]:
    return tuple({_Needle(text.lower(), min(least, len(text))) for secret in secrets for text, least in _forms(secret)})


def _forms(secret: str) -> Iterator[tuple[str, int]]:
    """The secret as it is, quoted for addresses, JSON and HTML, and encoded, each with the least length of a part."""
    in_json = json.dumps(secret)[1:-1]
    for text in (secret, quote(secret, safe=""), in_json, in_json.replace("/", "\\/"), html.escape(secret)):
        yield text, LEAST
    content = secret.encode("utf-8", "replace")
    yield content.hex(), 2 * LEAST
    yield "".join(f"%{byte:02x}" for byte in content), 3 * LEAST
    yield "".join(f"\\u{byte:04x}" for byte in content), 6 * LEAST
    for before in range(3):  # how many bytes stand before it, such as of a user name, decides how it is encoded
        first, last = math.ceil(8 * before / 6), 8 * (before + len(content)) // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + content).decode()[first:last], 8 * LEAST // 6


def _runs(text: str, needle: _Needle, parts: bool) -> Iterator[tuple[int, int]]:
    """Where parts of a needle that are long enough stand in a text.

    Any part of ``least`` characters holds one of the anchors whole: half as long, and so far from each other.
    """
    whole, least = needle
    if not parts:
        least = len(whole)
    size = (least + 1) // 2 if parts else least
    for start in range(0, len(whole) - size + 1, least - size + 1):
        anchor = whole[start : start + size]
        at = text.find(anchor)
        while at >= 0:
            left, right = 0, size
            while left < min(at, start) and text[at - left - 1] == whole[start - left - 1]:
                left += 1
            while at + right < len(text) and start + right < len(whole) and text[at + right] == whole[start + right]:
                right += 1
            if left + right >= least:
                yield at - left, at + right
            at = text.find(anchor, at + 1)


def _cut_out(text: str, found: list[tuple[int, int]]) -> str:
    """The text with each run, or several that touch, as one mark."""
    pieces, end = list[str](), 0
    for start, stop in found:
        if start > end or not pieces:
            pieces += [text[end:start], MARK]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])
