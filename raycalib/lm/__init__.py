"""Models: the six names, loading, label tokens, generation, adapters, probe and temperature heads."""
