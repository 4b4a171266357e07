"""Models: the six names, loading, label tokens, generation, query scoring, adapters."""
