"""One script per job, the main path of its job read from top to bottom; installed as ``raycalib.jobs``."""
