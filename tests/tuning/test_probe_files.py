from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from raycalib.errors import ModelError, StorageError
from raycalib.storage import Location
from raycalib.tuning.probe_files import load_probe, probe_names, save_probe
from raycalib.tuning.probe_fit import ProbeFit, fit_probe
from raycalib.tuning.settings import ProbeSettings
from tests.tuning.probe_sets import separable


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location(str(tmp_path / "probe"))


@pytest.fixture
def fitted() -> ProbeFit:
    return fit_probe(*separable(0, 100), *separable(1, 50), ProbeSettings(steps=20, eval_every=10), seed=0)


def write(place: Location, tensors: dict[str, Tensor]) -> None:
    place.write_bytes("probe.safetensors", safetensors.torch.save(tensors))


def papers_head(n_features: int) -> nn.Sequential:
    """The classifier of the paper's code, written out."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(n_features, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 2),
    )


def test_a_saved_probe_gives_the_same_margins(place: Location, fitted: ProbeFit) -> None:
    save_probe(place, fitted)
    features, _ = separable(2, 30)
    state = torch.get_rng_state()
    loaded = load_probe(place)
    assert torch.equal(torch.get_rng_state(), state)
    assert not loaded.training
    np.testing.assert_array_equal(loaded.margin(features), fitted.probe.margin(features))
    record = place.read_json("probe.json")
    assert record["best_step"] == fitted.best_step
    assert [tuple(pair) for pair in record["history"]] == list(fitted.history)


def test_a_head_of_the_papers_code_reads_features_as_they_are(place: Location) -> None:
    head = papers_head(6)
    assert list(head.state_dict())[::2] == ["0.weight", "2.weight", "4.weight", "6.weight"]
    place.write_bytes("head.safetensors", safetensors.torch.save(head.state_dict()))
    probe = load_probe(place, "head.safetensors")
    assert not probe.mean.any()
    assert (probe.scale == 1).all()
    features, _ = separable(2, 30)
    with torch.no_grad():
        logits = head(torch.as_tensor(features)).double()
    np.testing.assert_array_equal(probe.margin(features), (logits[:, 1] - logits[:, 0]).numpy())


def test_a_head_in_bfloat16_loads(place: Location) -> None:
    write(place, {name: value.bfloat16() for name, value in papers_head(6).state_dict().items()})
    assert {value.dtype for value in load_probe(place).state_dict().values()} == {torch.float32}


def changed(fitted: ProbeFit, **values: Tensor | None) -> dict[str, Tensor]:
    """The probe's tensors, some replaced or left out; ``__`` stands for a dot."""
    replaced = {name.replace("__", "."): value for name, value in values.items()}
    return {name: value for name, value in ({**fitted.probe.state_dict(), **replaced}).items() if value is not None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": None}, "probe of 6 features: mean is missing"),
        ({"scale": torch.ones(5)}, r"scale has shape \(5,\), expected \(6,\)"),
        ({"scale": torch.zeros(6)}, "scale has values that are not above 0"),
        ({"layers__2__weight": torch.zeros(64, 256)}, r"layers.2.weight has shape \(64, 256\), expected \(128, 256\)"),
        ({"layers__4__bias": torch.full((64,), torch.nan)}, "layers.4.bias has values that are not finite"),
        ({"layers__6__bias": torch.zeros(2, dtype=torch.int64)}, "layers.6.bias is torch.int64, expected floating"),
        ({"layers__8__weight": torch.zeros(2, 2)}, "layers.8.weight is not expected"),
        ({"layers__0__weight": None}, "probe: no matrix layers.0.weight or 0.weight; it has layers.0.bias, "),
        ({"mean": None, "scale": None, "layers__6__weight": None, "layers__6__bias": None}, "missing and 1 more$"),
    ],
)
def test_a_file_that_does_not_fit_says_why(
    place: Location, fitted: ProbeFit, values: dict[str, Tensor | None], message: str
) -> None:
    write(place, changed(fitted, **values))
    with pytest.raises(ModelError, match=rf"probe.safetensors does not hold a .*{message}"):
        load_probe(place)


def test_a_head_of_another_depth_is_refused(place: Location) -> None:
    shallow = nn.Sequential(nn.Linear(6, 256), nn.ReLU(), nn.Linear(256, 2))
    write(place, shallow.state_dict())
    with pytest.raises(ModelError, match=r"does not hold a head of 6 features: 4.weight is missing"):
        load_probe(place)


def test_what_is_no_safetensors_file_is_refused(place: Location) -> None:
    place.write_bytes("probe.safetensors", b"PK\x03\x04 a pickle of torch")
    with pytest.raises(ModelError, match=r"probe\.safetensors is no safetensors file: "):
        load_probe(place)


def test_probes_are_found_by_what_is_in_the_files(place: Location, fitted: ProbeFit) -> None:
    assert probe_names(place) == []
    save_probe(place, fitted)
    place.write_bytes("head.safetensors", safetensors.torch.save(papers_head(6).state_dict()))
    place.write_bytes("other.safetensors", safetensors.torch.save({"weight": torch.ones(2)}))
    for name, content in {"none": b"PK", "long": b"\xff" * 20, "json": b"\x02\0\0\0\0\0\0\0[]"}.items():
        place.write_bytes(f"{name}.safetensors", content)
    assert probe_names(place) == ["head.safetensors", "probe.safetensors"]


def test_a_missing_file_is_named(place: Location) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*probe\.safetensors"):
        load_probe(place)


def test_a_head_for_states_of_another_width_is_named(place: Location) -> None:
    write(place, papers_head(6).state_dict())
    assert len(load_probe(place, n_features=6).mean) == 6
    with pytest.raises(ModelError, match="holds a head of 6 features, the model's states have 32; give the model"):
        load_probe(place, n_features=32)


def test_a_pointer_of_lfs_is_named(place: Location) -> None:
    place.write_bytes("probe.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ModelError, match=r"probe\.safetensors is a Git LFS pointer in place of the file"):
        load_probe(place)
