import math

from hypothesis import given
from hypothesis import strategies as st
import pytest
import torch

from raycalib.errors import ConfigError
from raycalib.tuning.losses import query_losses, token_divergences
from raycalib.tuning.settings import KL_KINDS, KlKind

kinds = pytest.mark.parametrize("kind", KL_KINDS)
LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3)


def of_probabilities(*rows: tuple[float, ...]) -> torch.Tensor:
    """Logits of these distributions."""
    return torch.tensor(rows).log()


def test_query_losses_written_out() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [5.0, 5.0]])
    expected = [math.log(4 / 3), math.log(4), math.log(2)]
    assert query_losses(logits, torch.tensor([1, 0, 1])).tolist() == pytest.approx(expected, rel=1e-6)


def test_divergences_written_out() -> None:
    base, tuned = of_probabilities((0.5, 0.5)), of_probabilities((0.25, 0.75))
    forward = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    reverse = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    middle = (0.375, 0.625)
    to_middle = 0.5 * math.log(0.5 / middle[0]) + 0.5 * math.log(0.5 / middle[1])
    from_tuned = 0.25 * math.log(0.25 / middle[0]) + 0.75 * math.log(0.75 / middle[1])
    expected: dict[KlKind, float] = {"forward": forward, "reverse": reverse, "jsd": (to_middle + from_tuned) / 2}
    for kind, value in expected.items():
        assert token_divergences(tuned, base, kind).tolist() == pytest.approx([value], rel=1e-5)


@kinds
@given(logits=LOGITS)
def test_zero_for_equal_distributions(kind: KlKind, logits: list[float]) -> None:
    one = torch.tensor([logits])
    # Log-softmax of values up to 60 apart is exact to 60 float32 units, 60 x 6e-8.
    assert token_divergences(one, one, kind).item() == pytest.approx(0, abs=1e-5)
    assert token_divergences(one, one + 2, kind).item() == pytest.approx(0, abs=1e-5)


@kinds
@given(left=LOGITS, right=LOGITS)
def test_never_negative(kind: KlKind, left: list[float], right: list[float]) -> None:
    assert token_divergences(torch.tensor([left]), torch.tensor([right]), kind).item() >= -1e-5


@given(left=LOGITS, right=LOGITS)
def test_jsd_is_symmetric_and_at_most_log_two(left: list[float], right: list[float]) -> None:
    one, other = torch.tensor([left]), torch.tensor([right])
    value = token_divergences(one, other, "jsd").item()
    assert value == pytest.approx(token_divergences(other, one, "jsd").item(), abs=1e-5)
    assert value <= math.log(2) + 1e-5


def test_jsd_of_disjoint_distributions_is_log_two() -> None:
    one, other = torch.tensor([[1000.0, 0.0]]), torch.tensor([[0.0, 1000.0]])
    assert token_divergences(one, other, "jsd").item() == pytest.approx(math.log(2), rel=1e-6)


def test_forward_and_reverse_are_each_others_mirror() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 5, 7, generator=generator).unbind()
    forward = token_divergences(one, other, "forward")
    assert torch.equal(forward, token_divergences(other, one, "reverse"))
    assert not torch.allclose(forward, token_divergences(other, one, "forward"), rtol=0.01)


@kinds
def test_no_gradient_reaches_the_base(kind: KlKind) -> None:
    generator = torch.Generator().manual_seed(0)
    tuned, base = (torch.randn(4, 6, generator=generator, requires_grad=True) for _ in range(2))
    token_divergences(tuned, base, kind).sum().backward()
    assert base.grad is None
    assert tuned.grad is not None
    assert tuned.grad.abs().min() > 0


@kinds
def test_equal_distributions_are_where_the_gradient_vanishes(kind: KlKind) -> None:
    tuned = torch.tensor([[0.3, -1.0, 2.0]], requires_grad=True)
    token_divergences(tuned, tuned, kind).sum().backward()
    torch.testing.assert_close(tuned.grad, torch.zeros(1, 3), rtol=0, atol=1e-6)


@kinds
def test_each_position_stands_alone(kind: KlKind) -> None:
    generator = torch.Generator().manual_seed(0)
    tuned, base = torch.randn(2, 3, 5, generator=generator).unbind()
    together = token_divergences(tuned, base, kind)
    assert together.shape == (3,)
    for place in range(3):
        alone = token_divergences(tuned[place : place + 1], base[place : place + 1], kind)
        torch.testing.assert_close(together[place : place + 1], alone)
    assert token_divergences(tuned[:0], base[:0], kind).sum().item() == 0


def test_half_precision_is_computed_in_single() -> None:
    logits = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)
    assert token_divergences(logits, logits, "jsd").dtype == torch.float32
    assert query_losses(logits, torch.tensor([0])).dtype == torch.float32


def test_an_unknown_kind_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="kl_kind: 'l2' is unknown; allowed: jsd, forward, reverse"):
        token_divergences(torch.zeros(1, 2), torch.zeros(1, 2), "l2")  # type: ignore[arg-type]
