"""Metrics of confidence: functions of numpy arrays, each with its formula, direction and range."""

from raycalib.metrics.accuracy import accuracy
from raycalib.metrics.auroc import auroc
from raycalib.metrics.binning import Binning, assign_bins
from raycalib.metrics.bootstrap import Interval, bootstrap_interval
from raycalib.metrics.brier_score import brier_score
from raycalib.metrics.ece import ReliabilityBins, expected_calibration_error, reliability_bins
from raycalib.metrics.ece_paper import ece_paper
from raycalib.metrics.nll import nll, nll_from_logits
from raycalib.metrics.noise_floor import NoiseFloor, calibration_noise_floor
from raycalib.metrics.risk_control import Threshold, certified_threshold
from raycalib.metrics.risk_coverage import RiskCoverage, aurc, risk_coverage_curve
from raycalib.metrics.within_group import WithinGroupAuroc, mean_within_group_auroc

__all__ = [
    "Binning",
    "Interval",
    "NoiseFloor",
    "ReliabilityBins",
    "RiskCoverage",
    "Threshold",
    "WithinGroupAuroc",
    "accuracy",
    "assign_bins",
    "aurc",
    "auroc",
    "bootstrap_interval",
    "brier_score",
    "calibration_noise_floor",
    "certified_threshold",
    "ece_paper",
    "expected_calibration_error",
    "mean_within_group_auroc",
    "nll",
    "nll_from_logits",
    "reliability_bins",
    "risk_coverage_curve",
]
