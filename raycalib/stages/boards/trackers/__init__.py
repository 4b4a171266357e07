"""Trackers of experiments, MLflow and Weights & Biases: a run for each trial."""
