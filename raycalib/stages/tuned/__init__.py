"""Tuning through Ray Train."""
