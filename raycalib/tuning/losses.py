"""Losses of calibration tuning: the query's cross-entropy and the divergence from the base model.

Source: Kapoor et al., arXiv 2406.08391, section 4; the authors' code takes the sum over answer tokens and the mean over
rows, and so do these.
"""

import torch
from torch import Tensor
from torch.nn import functional

from raycalib.errors import ConfigError
from raycalib.tuning.settings import KL_KINDS, KlKind


def query_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each row's query in nats, shape (B,).

    Args:
        logits: (B, 2), of ``i`` (no) and ``ii`` (yes).
        labels: (B,), 1 where the answer is correct.

    >>> query_losses(torch.zeros(1, 2), torch.tensor([1])).item()  # log 2
    0.6931471824645996
    """
    return functional.cross_entropy(logits.float(), labels, reduction="none")


def token_divergences(tuned: Tensor, base: Tensor, kind: KlKind) -> Tensor:
    """Divergence of two next-token distributions at each position in nats, shape (T,).

    ``forward`` is KL(base ‖ tuned), ``reverse`` is KL(tuned ‖ base), ``jsd`` the Jensen-Shannon divergence, at most
    log 2. All are at least 0, and 0 for equal distributions.

    Args:
        tuned: (T, V) logits of the model that is tuned.
        base: (T, V) logits of the base model; no gradient reaches them.
        kind: which divergence.

    Raises:
        ConfigError: an unknown kind.
    """
    log_p = functional.log_softmax(base.detach().float(), dim=-1)
    log_q = functional.log_softmax(tuned.float(), dim=-1)
    if kind == "forward":
        return _kl(log_p, log_q)
    if kind == "reverse":
        return _kl(log_q, log_p)
    if kind == "jsd":
        log_m = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0))
        return 0.5 * (_kl(log_p, log_m) + _kl(log_q, log_m))
    raise ConfigError(f"kl_kind: {kind!r} is unknown; allowed: {', '.join(KL_KINDS)}")


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) along the last axis."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)
