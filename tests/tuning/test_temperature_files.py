import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from raycalib.errors import DataError, ModelError, StorageError
from raycalib.storage import Location
from raycalib.tuning.temperature import Temperature, fit_temperature
from raycalib.tuning.temperature_files import load_temperature, save_temperature


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location(str(tmp_path / "temperature"))


@pytest.fixture
def fitted() -> Temperature:
    return fit_temperature(np.array([4.0, 4.0, 4.0, 4.0]), np.array([1, 1, 1, 0]))


def test_a_saved_temperature_is_the_same_to_the_last_bit(place: Location, fitted: Temperature) -> None:
    save_temperature(place, fitted)
    assert load_temperature(place) == fitted


def test_what_lies_in_the_files(place: Location, fitted: Temperature) -> None:
    save_temperature(place, fitted)
    tensors = safetensors.torch.load(place.read_bytes("temperature.safetensors"))
    assert list(tensors) == ["log_temperature"]
    assert (tensors["log_temperature"].dtype, tensors["log_temperature"].shape) == (torch.float64, ())
    assert tensors["log_temperature"].item() == fitted.log_temperature
    record = place.read_json("temperature.json")
    assert set(record) == {"n", "nll_before", "nll_after", "temperature"}
    assert (record["n"], record["temperature"]) == (4, pytest.approx(4 / math.log(3), rel=1e-9))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"log_temperature": torch.zeros(2, dtype=torch.float64)}, r"log_temperature has shape \(2,\), expected \(\)"),
        ({"log_temperature": torch.tensor(math.nan)}, "log_temperature has values that are not finite"),
        ({"temperature": torch.tensor(1.0)}, "log_temperature is missing; temperature is not expected"),
        ({"log_temperature": torch.tensor(1000.0)}, r"log_temperature is 1000\.0, allowed: -6\.0 to 6\.0"),
    ],
)
def test_a_file_that_does_not_fit_says_why(
    place: Location, fitted: Temperature, tensors: dict[str, Tensor], message: str
) -> None:
    save_temperature(place, fitted)
    place.write_bytes("temperature.safetensors", safetensors.torch.save(tensors))
    with pytest.raises(ModelError, match=rf"temperature\.safetensors does not hold a temperature: {message}"):
        load_temperature(place)


def test_a_record_that_does_not_fit_says_why(place: Location, fitted: Temperature) -> None:
    save_temperature(place, fitted)
    place.write_json("temperature.json", {"n": 4})
    with pytest.raises(ModelError, match=r"temperature\.json does not describe a temperature: no nll_before, nll_aft"):
        load_temperature(place)
    place.write_json("temperature.json", {"n": None, "nll_before": 1.0, "nll_after": "x"})
    with pytest.raises(ModelError, match=r"temperature\.json does not describe a temperature: int\(\) argument"):
        load_temperature(place)
    place.write_bytes("temperature.json", b"{")
    with pytest.raises(DataError, match=r"temperature\.json is not JSON"):
        load_temperature(place)


def test_a_missing_file_is_named(place: Location) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*temperature\.safetensors"):
        load_temperature(place)
