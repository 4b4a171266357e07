"""What a run has left on its cluster."""

import ray

from raycalib.stages.left_over import left_over
from raycalib.stages.lines.progress import say
from raycalib.steps.run import Run


def say_left_over(run: Run) -> None:
    """Counts actors and placement groups that are left, once all is done; says nothing of a run that needed no Ray."""
    if ray.is_initialized():
        say(left_over(run.cluster.groups_before).line)
