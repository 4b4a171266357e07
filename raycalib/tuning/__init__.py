"""Calibration tuning: losses, shared-prefix batches, the loop, the probe, the temperature."""
