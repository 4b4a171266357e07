"""What a process needs no group of workers for; tests/tuning/test_distributed.py splits real models."""

from torch import nn

from raycalib.tuning.weight_split import pieces


def test_modules_of_many_parameters_are_split_by_their_own() -> None:
    layers = nn.Sequential(nn.Linear(10, 10), nn.Sequential(nn.Linear(4, 4), nn.Linear(2, 2)))
    model = nn.ModuleDict({"layers": layers, "head": nn.Linear(3, 3)})
    inner = layers[1]
    assert list(pieces(model, 1000)) == [model]
    assert list(pieces(model, 100)) == [layers[0], inner, layers, model["head"], model]
    assert list(pieces(model, 20)) == [layers[0], inner[0], inner[1], inner, layers, model["head"], model]


def test_what_cannot_be_split_further_is_a_piece_whatever_its_size() -> None:
    layer = nn.Linear(10, 10)
    assert list(pieces(layer, 5)) == [layer]
