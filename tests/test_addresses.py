from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest

from raycalib.addresses import secret_in, secret_problems
from raycalib.cli import pipeline_config
from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.recipes import recipe
from raycalib.storage import Location

SECRET = "hunter2-Xy"
WITH_SECRET = [
    f"ftp://user:{SECRET}@host/cache",
    f"s3://AKIA:{SECRET}/+x@bucket/cache",
    f"https://{SECRET}@host/cache",
    f"https://host/cache?sig={SECRET}",
    f"https://host/cache?x=1&token={SECRET}",
    f"https://host/cache#token={SECRET}",
    f"gs://bucket/cache#access_token={SECRET}",
    f"zip://a.csv::https://host/a.zip?sig={SECRET}",
    f"file:ftp://user:{SECRET}@host/questions.csv",
    f"FTP://user:{SECRET}@host",
    f"ftp://user:my {SECRET}@host/a",
    f"ftp://user:{SECRET} pass@host/a",
    f"ftp://a user:{SECRET}@host/a",
    f"https://host/cache?{SECRET}/y=z",
    f"https://host/cache?x/token={SECRET}",
]


@pytest.mark.parametrize("uri", WITH_SECRET)
def test_an_address_with_a_secret_is_refused_by_the_type_that_holds_it(uri: str) -> None:
    with pytest.raises(ConfigError, match="its address holds a ") as raised:
        Location(uri)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "uri",
    [
        "runs/demo",
        "/data/a:b@c?x=1#token=2",  # the name of a local directory
        "s3://bucket/date=2026-11-25/run",
        "gs://bucket/run#3",
        "abfss://container@account.dfs.core.windows.net/run",
        "hdfs://me@host:8020/run",
        "http://127.0.0.1:8000/v1",
        "http://[::1]:8000/v1",
        "http://host:8000/a@b",
        "github://org:repository@main/a",
        "hub:org/name:config+facts:100",
        "memory://x",
        "s3://bucket/my run/a:b",
    ],
)
def test_other_addresses_stay(uri: str) -> None:
    assert secret_in(uri) == ""
    assert Location(uri).uri == uri


def text_fields(value: Any, name: str = "") -> list[str]:
    """Full names of the fields of a configuration that can hold an address."""
    found = []
    for field in fields(value):
        part = getattr(value, field.name)
        inner = f"{name}.{field.name}".lstrip(".")
        found += text_fields(part, inner) if is_dataclass(part) else [inner] if "str" in str(field.type) else []
    return found


def with_value(value: Any, name: str, text: str) -> Any:
    """The configuration with a text in a field, past the checks of the field's own class."""
    first, _, rest = name.partition(".")
    old = getattr(value, first)
    new: Any = with_value(old, rest, text) if rest else (text,) if isinstance(old, tuple) else text
    object.__setattr__(value, first, new)
    return value


@pytest.mark.parametrize("name", [name for name in text_fields(PipelineConfig()) if "limits" not in name])
def test_no_field_of_a_configuration_takes_one(name: str) -> None:
    first = name.partition(".")[0]
    config = recipe("smoke")
    part = getattr(config, first)
    own = replace(config, **({first: replace(part)} if is_dataclass(part) else {}))
    (problem,) = secret_problems(with_value(own, name, WITH_SECRET[0]))
    assert problem.startswith(f"{name}: its address holds a password")
    assert SECRET not in problem


NAMES = (
    "out,judge-cache,data-root,dataset,model-root,price-table,ray.address,models,judge-base-url,judge-quality,"
    "engine.served-model,no-such-flag"
)
FLAGS = ["--" + name for name in NAMES.split(",")]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("uri", [WITH_SECRET[0], WITH_SECRET[5]])
def test_no_flag_takes_one_and_it_is_not_shown(flag: str, uri: str) -> None:
    given = f"file:{uri}" if flag == "--dataset" else uri
    with pytest.raises(ConfigError) as raised:
        pipeline_config(["--recipe", "smoke", flag, given], "a job")
    assert SECRET not in str(raised.value)


@dataclass(frozen=True)
class Nested:
    places: tuple[str, ...]
    by_name: dict[str, Any]


def test_texts_are_found_wherever_they_are() -> None:
    value = Nested(("a", WITH_SECRET[0]), {"b": [{"c": WITH_SECRET[3]}]})
    assert [problem.split(":")[0] for problem in secret_problems(value, "x")] == ["x.places", "x.by_name"]
