"""What workers do with the rows of a shard; no Ray here, so each can be called with a list of rows."""
