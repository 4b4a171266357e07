from base64 import b64encode
import json
from pathlib import Path
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from raycalib import secrets
from raycalib.secrets import hide, hide_all, hide_message, remember

KEY = 'sk-Pq7/9zRk+2wXv&1LmN"Tb-cD8eF0gH'


@pytest.fixture(autouse=True)
def only_this_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_remembered", set())
    monkeypatch.setattr(secrets, "_environment", lambda watched: frozenset())
    remember(KEY)


def parts_left(text: str, secret: str = KEY) -> list[str]:
    parts = {secret[i : i + 8].lower() for i in range(len(secret) - 7)}
    return sorted(part for part in parts if part in text.lower())


@pytest.mark.parametrize(
    "quoted",
    [
        KEY,
        KEY.lower(),
        KEY.upper(),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        json.dumps(KEY)[1:-1],
        json.dumps(json.dumps({"key": KEY}))[12:-4],
        KEY.replace("&", "&amp;").replace('"', "&quot;"),
        KEY.encode().hex(),
        "".join(f"%{byte:02X}" for byte in KEY.encode()),
        "".join(f"\\u{byte:04x}" for byte in KEY.encode()),
        *(b64encode(b"user:"[:n] + KEY.encode() + b"@x"[: n % 3]).decode() for n in range(6)),
        KEY[:9],
        KEY[5:20],
        KEY[-8:],
    ],
)
def test_no_form_of_a_secret_is_left(quoted: str) -> None:
    hidden = hide(f"İ said: {quoted} twice {quoted}.")
    assert quoted not in hidden
    assert hidden.count("<key>") >= 2
    assert not parts_left(hidden)
    if len(quoted) >= len(KEY):
        encoded = quoted[10:-10]
        assert all(encoded[i : i + 11] not in hidden for i in range(len(encoded) - 10))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=5), st.tuples(st.integers(0, 34), st.integers(0, 34))), max_size=8))
def test_whatever_stands_around_its_parts_none_of_eight_characters_is_left(pieces: list[str | tuple[int, int]]) -> None:
    text = "".join(piece if isinstance(piece, str) else KEY[piece[0] : piece[1]] for piece in pieces)
    assert not parts_left(hide(text))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Lu", "Ll", "Nd"])))
def test_other_texts_stay(text: str) -> None:
    assert hide(text) == text


@pytest.mark.parametrize("text", ["", "yes", "sk-Pq7/", "sk-Pq7", "Yes, the sky is blue.", "cD8eF0g", "\x00" * 40])
def test_short_parts_and_other_texts_stay(text: str) -> None:
    assert hide(text) == text


def test_of_a_users_own_texts_only_whole_secrets_are_taken_out() -> None:
    assert hide(f"a {KEY} b {KEY[:20]}", parts=False) == f"a <key> b {KEY[:20]}"
    assert hide(f"a {quote(KEY, safe='')}", parts=False) == "a <key>"


def test_values_keep_their_shape() -> None:
    value = {"a": [1, None, True, f"x {KEY}"], KEY: {"b": (KEY, 1.5)}}
    assert hide_all(value) == {"a": [1, None, True, "x <key>"], "<key>": {"b": ["<key>", 1.5]}}


@pytest.mark.parametrize("placeholder", ["", "none", "EMPTY", "token", "1234567", "password", "anything"])
def test_placeholders_are_no_secrets(placeholder: str) -> None:
    remember(placeholder)
    text = f"Is {placeholder} the password for anything? EMPTY, none, token 1234567"
    assert hide(text) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("ftp://user:pass@host/a", "ftp://<key>@host/a"),
        ("s3://AKIA:pa/ss@bucket/a b@c", "s3://<key>@bucket/a b@c"),
        ("https://h/a?x=1&sig=ab%2F&y=2#access_token=q", "https://h/a?x=1&sig=<key>&y=2#access_token=<key>"),
        ("Authorization: Bearer abc", "Authorization: Bearer <key>"),
        ("authorization: 'Basic dXNlcg=='", "authorization: 'Basic <key>'"),
        ("http://127.0.0.1:8000/v1 is no judge@home", "http://127.0.0.1:8000/v1 is no judge@home"),
        ("ftp://me:my pass@host/a", "ftp://<key>@host/a"),
        ("ftp://my name:pass@host/a", "ftp://<key>@host/a"),
        ("no http://host:80 for me@home", "no http://host:80 for me@home"),
        ("no http://host: ask me@home", "no http://host: ask me@home"),
        ("s3://bucket/run?version=3", "s3://bucket/run?version=3"),
    ],
)  # fmt: skip
def test_messages_hide_what_looks_like_a_secret(text: str, hidden: str) -> None:
    assert hide_message(text) == hidden
    assert hide_message(hidden) == hidden


def test_what_the_environment_holds_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    names = ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "FSSPEC_FTP_PASSWORD", "MY_OWN_SECRET")
    for name in names:
        monkeypatch.setenv(name, f"value-of-{name}-42")
        assert hide(f"quotes value-of-{name}-42") == "quotes <key>"
    monkeypatch.setenv("https_proxy", "http://me:proxy-pass-1@proxy:80")
    assert hide("proxy-pass-1") == "<key>"
    (tmp_path / "token").write_text("hf_FromTheFile123\n")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert hide("hf_FromTheFile123 is wrong") == "<key> is wrong"
    monkeypatch.setenv("SOME_KEY", "/home/me/key.pem")
    assert hide("no file /home/me/key.pem") == "no file /home/me/key.pem"


@pytest.mark.parametrize(
    "value", ["/wJalrXUt/K7MDENG/bPxRfiCY", "/wJalrXUtK7MDENG", "~hunter2-Zq9x", ".hunter2-Zq9x", "./hunter2-Zq9x"]
)
def test_a_secret_may_begin_like_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", value)
    assert hide(f"refused: {value}") == "refused: <key>"


def test_a_path_to_a_secret_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".my-key.pem").write_text("x")
    for value in (str(tmp_path), str(tmp_path / "gone" / "key.pem"), ".my-key.pem", "./.my-key.pem"):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", value)
        assert hide(f"no file {value}") == f"no file {value}"


@pytest.mark.parametrize(
    "name", ["GITHUB_PAT", "MYSQL_PWD", "SMTP_PASS", "OPENAI_API_KEY_2", "OPENAI_API_KEY2", "github_pat_1", "DB_PWD_2"]
)
def test_names_of_secrets_may_end_otherwise(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.undo()
    secrets._environment.cache_clear()
    monkeypatch.setenv(name, "hunter2-Zq9x")
    assert hide("refused: hunter2-Zq9x") == "refused: <key>"


@pytest.mark.parametrize("name", ["OLDPWD", "COMPASS", "MONKEY_BUSINESS", "TOKENIZERS_PARALLELISM"])
def test_other_names_are_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.undo()
    secrets._environment.cache_clear()
    monkeypatch.setenv(name, "hunter2-Zq9x")
    assert hide("refused: hunter2-Zq9x") == "refused: hunter2-Zq9x"
