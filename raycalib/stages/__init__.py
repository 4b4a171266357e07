"""Ray wiring: shards through actor pools, tuning through Ray Train, figures in parallel."""
