"""The declarations of the paper's sources, kin by kin."""
