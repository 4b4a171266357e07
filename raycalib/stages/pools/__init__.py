"""Shards through pools of Ray Data actors: passes, bounds, waiting for room, and whose turn it is."""
