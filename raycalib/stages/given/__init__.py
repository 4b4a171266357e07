"""What exists already and comes in: answers, labelled rows, adapters, probes and temperatures. No Ray."""
