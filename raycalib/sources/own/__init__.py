"""Your own questions, from a file or a dataset on the hub: columns are found by their names or named."""
