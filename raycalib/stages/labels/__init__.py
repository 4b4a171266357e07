"""Right or wrong: the labelling stage, the judge's desk, and whether labels say enough."""
