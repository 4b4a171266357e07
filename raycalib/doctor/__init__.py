"""Whether a cluster, its storage, its models and its judge are fit for a run, asked before money is spent."""
