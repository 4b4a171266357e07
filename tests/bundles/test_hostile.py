"""Bundles that somebody made to do harm, or that are damaged: one clear line each, before anything is computed."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import pickle
import struct
from typing import Any

import pytest
import safetensors.torch
import torch

from raycalib import CalibratedModel
from raycalib.bundles.record import LARGEST_RECORD
from raycalib.errors import RaycalibError
from tests.bundles.bundles import TinyLlama, made_bundle

RAN = "the-pickle-ran"


class Harm:
    """Makes a directory where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (RAN,)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def record(**values: Any) -> Callable[[Path], None]:
    return lambda place: change(place / "raycalib.json", **values)


def base(**values: Any) -> Callable[[Path], None]:
    def do(place: Path) -> None:
        found = json.loads((place / "raycalib.json").read_text())
        change(place / "raycalib.json", base=found["base"] | values)

    return do


def adapter(**values: Any) -> Callable[[Path], None]:
    return lambda place: change(place / "adapter_config.json", **values)


def with_figures(**values: Any) -> Callable[[Path], None]:
    def do(place: Path) -> None:
        found = json.loads((place / "raycalib.json").read_text())
        found["methods"]["lora_prompt"]["figures"][0] |= values
        (place / "raycalib.json").write_text(json.dumps(found))

    return do


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes(content) and None


def pickle_alone(place: Path) -> None:
    (place / "adapter_model.safetensors").unlink()
    (place / "adapter_model.bin").write_bytes(pickle.dumps(Harm()))


def tensors(name: str, edit: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def do(place: Path) -> None:
        found = safetensors.torch.load_file(place / name)
        edit(found)
        safetensors.torch.save_file(found, place / name)

    return do


def not_a_number(found: dict[str, torch.Tensor]) -> None:
    found[next(iter(found))][0] = float("nan")


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pickle for safetensors": (write("adapter_model.safetensors", pickle.dumps(Harm())), "cannot be read"),
    "a pickle alone": (pickle_alone, "a pickle, which can run code"),
    "a pickled temperature": (
        write("lora_prompt/temperature.safetensors", pickle.dumps(Harm())),
        "no safetensors file",
    ),
    "a giant header": (write("adapter_model.safetensors", struct.pack("<Q", 2**62) + b"{}"), "cannot be read: .*eader"),
    "a header behind its end": (write("adapter_model.safetensors", struct.pack("<Q", 10**6) + b"{}"), "cannot be read"),
    "weights that are none": (tensors("adapter_model.safetensors", not_a_number), "NaN or infinite"),
    "a temperature that is none": (
        tensors("lora_prompt/temperature.safetensors", lambda t: t.update(log_temperature=torch.tensor(float("nan")))),
        "not finite",
    ),
    "a temperature without bound": (
        tensors(
            "lora_prompt/temperature.safetensors", lambda t: t.update(log_temperature=torch.tensor(300.0).double())
        ),
        "log_temperature is 300",
    ),
    "a rank of a million": (adapter(r=10**6), "rank 1000000"),
    "a rank that is none": (adapter(r=-1), "no number above 0"),
    "a rank by pattern": (adapter(rank_pattern={"q_proj": 4000}), "rank 4000 .* have 4"),
    "code in the adapter's configuration": (adapter(auto_map={"AutoModel": "evil.Model"}), "auto_map"),
    "modules beside the adapter": (adapter(modules_to_save=["lm_head"]), "replaces whole modules"),
    "a path out of the directory": (base(path="../../etc", where="embedded"), "base model tiny was in"),
    "a method that is a path": (record(methods={"../../etc": {}}), "methods.*'../../etc' is not one of"),
    "HTML in a name": (base(name="<script>alert(1)</script>"), r"base\.name: .*does not match"),
    "HTML in a set": (with_figures(set='"><img src=x onerror=alert(1)>'), r"figures\[0\]\.set"),
    "an escape sequence": (base(name="\x1b[2Jtiny"), r"base\.name"),
    "a second line": (base(name="tiny\n"), r"base\.name"),
    "a figure that is text": (with_figures(n="many"), r"figures\[0\]\.n: 'many' is not of type"),
    "a field that is not known": (record(auto_map={"a": "b"}), "'auto_map' was unexpected"),
    "a field that is missing": (
        lambda place: (place / "raycalib.json").write_text('{"schema": 1}') and None,
        "required",
    ),
    "no JSON": (write("raycalib.json", b"{"), "is no JSON"),
    "nested without end": (write("raycalib.json", b"[" * 10**6), "is no JSON"),
    "numbers that are none": (write("raycalib.json", b'{"schema": NaN}'), "NaN is no number"),
    "a list": (write("raycalib.json", b"[]"), "is not of type 'object'"),
    "a file without end": (write("raycalib.json", b" " * (LARGEST_RECORD + 1)), "is larger than"),
    "a later version": (record(schema=2), "upgrade it"),
    "labels of another tokenizer": (record(label_tokens=[1, 2]), "reads the query's labels otherwise"),
    "another query": (record(query_version="other-9"), "was tuned on the query other-9"),
    "a remote tokenizer": (base(path="https://evil.example/model", where="local"), "base model tiny was in"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_hostile_bundle_is_refused_in_one_line(
    harm: str, tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made_bundle(tiny_llama, tiny_model_dir, tmp_path).local_path
    do, match = HARMS[harm]
    do(place)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RaycalibError, match=match) as refused:
        CalibratedModel.from_pretrained(str(place))
    assert "\n" not in str(refused.value).strip()
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 900
    assert not (tmp_path / RAN).exists()
