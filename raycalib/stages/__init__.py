"""Ray wiring: shards through actor pools, tuning through Ray Train, and the pipeline that joins them."""
