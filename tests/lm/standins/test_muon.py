"""Muon in the weights' precision takes the steps of torch's own, which computes them in bfloat16."""

import pytest
import torch

from raycalib.lm.standins.muon import FullPrecisionMuon, orthogonalized


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_its_steps_are_torchs_up_to_bfloat16(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = [
        FullPrecisionMuon([ours], lr=0.02, weight_decay=0.0),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0),
    ]
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_singular_vectors_stay_and_values_come_near_to_one() -> None:
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(5))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ orthogonalized(matrix) @ right.T
    assert torch.allclose(inside, torch.diag(torch.diag(inside)), atol=1e-4)
    assert torch.diag(inside).min() > 0.6
    assert torch.diag(inside).max() < 1.3
    assert values.max() / values.min() > 2


def test_what_it_does_not_know_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match="weight decay"):
        FullPrecisionMuon([weight], lr=0.1, weight_decay=0.1).step()
