"""Which answers to keep: what a bundle's calibration rows say of a confidence, and what a threshold promises."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
import math

import numpy as np

from raycalib.bundles.bundle import Bundle
from raycalib.bundles.record import RECORD, Certificate, MethodRecord, read_record
from raycalib.errors import ConfigError, ModelError, StorageError
from raycalib.metrics import certified_threshold
from raycalib.metrics.risk_control import STARTS
from raycalib.storage import Location

LIKE_THIS, SHARE_LIKE_THIS = 50, 5
"""Calibration answers of the nearest confidence that an answer is compared with: so many, a fifth of all at most."""
SHOWN_RISKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
DELTA = 0.05


@dataclass(frozen=True)
class CalibrationRows:
    """(n,) confidences and (n,) labels, 0 or 1, of answers that nothing but a temperature was fitted on."""

    confidence: np.ndarray
    labels: np.ndarray

    def like(self, p_correct: float) -> tuple[int, int]:
        """How many answers of about this confidence there are, and how many of them are right."""
        most = max(1, min(LIKE_THIS, len(self.labels) // SHARE_LIKE_THIS))
        nearest = np.argsort(np.abs(self.confidence - p_correct), kind="stable")[:most]
        return len(nearest), int(self.labels[nearest].sum())


def calibration_rows(bundle: Bundle, method: str) -> CalibrationRows:
    """The calibration rows of a method.

    Raises:
        ConfigError: the method is not calibrated.
        ModelError, StorageError: a file is not there or is damaged.
    """
    temperature = bundle.temperature(method)
    if temperature is None:
        reason = bundle.record.methods[method].calibration.reason
        raise ConfigError(
            f"bundle: {method} of {bundle.place.uri} is not calibrated ({reason}): no number is a threshold"
        )
    log_odds, labels = bundle.calibration_rows(method)
    return CalibrationRows(temperature.confidence(log_odds), labels)


def certify(bundle: Bundle, method: str, max_risk: float, delta: float = DELTA) -> Certificate:
    """What a threshold promises of a method: the bundle's certificate, or a new one.

    Args:
        bundle: with its calibration rows.
        method: whose confidence.
        max_risk: share of wrong answers among those kept, in (0, 1).
        delta: probability that it is more, in (0, 1).

    Raises:
        ConfigError: a share is out of its range, or the method is not calibrated.
    """
    for name, share in (("max_risk", max_risk), ("delta", delta)):
        if not 0 < share < 1:
            raise ConfigError(f"{name}: {share} is not allowed; a share above 0 and below 1, such as 0.1")
    for known in bundle.record.certificates:
        if (known.method, known.max_risk, known.delta) == (method, max_risk, delta):
            return known
    rows = calibration_rows(bundle, method)
    found = certified_threshold(rows.confidence, rows.labels, max_risk, delta)
    return Certificate(
        method=method,
        max_risk=max_risk,
        delta=delta,
        threshold=found.value,
        n=found.n,
        n_kept=found.n_kept,
        n_wrong=found.n_wrong,
    )


def keep_certificate(bundle: Bundle, certificate: Certificate) -> bool:
    """Writes a certificate into the bundle's record; whether it is kept there."""
    if certificate in bundle.record.certificates:
        return True
    if bundle.is_fetched:
        return False
    record = replace(bundle.record, certificates=[*bundle.record.certificates, certificate])
    try:
        bundle.place.write_json(RECORD, record.as_json())
    except StorageError:
        return False
    return True


def kept_certificates(place: Location, methods: Mapping[str, MethodRecord]) -> list[Certificate]:
    """The certificates of a bundle that lies at a place, and is to be written anew with these methods.

    Those of methods that are calibrated on the same rows as before hold on; where there is no bundle there are none.
    """
    try:
        before = read_record(place) if place.exists(RECORD) else None
    except (ModelError, StorageError):
        before = None
    if before is None:
        return []
    same = {
        name
        for name, method in methods.items()
        if name in before.methods and before.methods[name].calibration == method.calibration
    }
    return [each for each in before.certificates if each.method in same]


def promise(certificate: Certificate) -> str:
    """What a certificate says, for a person; it has a threshold."""
    assert certificate.threshold is not None
    return (
        f"answers of {certificate.threshold:.1%} and more are shown: of those at most {certificate.max_risk:.0%} are "
        f"wrong with probability {1 - certificate.delta:.0%}; of {certificate.n:,} calibration answers it keeps "
        f"{certificate.n_kept:,}, {certificate.n_wrong:,} of them wrong"
    )


def no_threshold(certificate: Certificate, bundle: Bundle) -> str:
    """Why no threshold makes the promise, and what would."""
    fewest = math.ceil(math.log(certificate.delta / STARTS) / math.log1p(-certificate.max_risk))
    few = (
        f"; even without a wrong one {fewest:,} calibration answers are needed for that"
        if certificate.n < fewest
        else ""
    )
    return (
        f"max-risk: of {certificate.n:,} calibration answers none is a threshold above which at most "
        f"{certificate.max_risk:.0%} are wrong with probability {1 - certificate.delta:.0%}{few}; --explain-threshold "
        f"shows what there is in {bundle.place.uri}, or ask for a higher --max-risk, or calibrate on more answers"
    )


def explain_lines(bundle: Bundle, method: str, delta: float = DELTA) -> list[str]:
    """Coverage against risk on the calibration rows, and what is certified, as lines for the terminal.

    Raises:
        ConfigError: the method is not calibrated.
    """
    rows = calibration_rows(bundle, method)
    order = np.argsort(-rows.confidence, kind="stable")
    confidence, right = rows.confidence[order], np.cumsum(rows.labels[order])
    n = len(confidence)
    lines = [
        f"{method}: {n:,} calibration answers, {int(right[-1]) if n else 0:,} right",
        "  kept at least as sure as    coverage    wrong of those kept",
    ]
    for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        m = round(share * n)
        if m:
            lines.append(f"  {confidence[m - 1]:>18.1%}    {m / n:>12.0%}    {1 - right[m - 1] / m:>19.1%}")
    lines.append(f"  with probability {1 - delta:.0%} at most so many are wrong (Learn then Test, arXiv 2110.01052):")
    lines += [_certified(certify(bundle, method, risk, delta)) for risk in SHOWN_RISKS]
    return lines


def _certified(found: Certificate) -> str:
    if found.threshold is None:
        return f"    {found.max_risk:>4.0%}    no threshold can promise that"
    share = found.n_kept / found.n
    return f"    {found.max_risk:>4.0%}    above {found.threshold:.1%}: {share:.0%} of answers are kept"


def shown_share(n_right: int, n: int) -> str:
    """A share as people say it.

    >>> shown_share(35, 50), shown_share(0, 50), shown_share(50, 50)
    ('7 in 10', 'none', 'all')
    """
    tenths = round(10 * n_right / n)
    return "none" if not n_right else "all" if n_right == n else f"{min(max(tenths, 1), 9)} in 10"


def kept(p_correct: float | None, threshold: float | None) -> bool:
    """Whether an answer is kept; one of unknown confidence is not, where there is a threshold."""
    return threshold is None or (p_correct is not None and p_correct >= threshold)
