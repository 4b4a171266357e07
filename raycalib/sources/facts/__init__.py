"""Embedded real facts, authored for raycalib."""
