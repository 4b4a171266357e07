"""Looks at a cluster, its storage, models and judge before money is spent: a line for each, with what to do.

python jobs/doctor.py --out runs/demo                                        # this machine, for the demo
ray job submit --working-dir . -- python jobs/doctor.py --recipe paper --out s3://bucket/paper    # a cluster

Flags are those of jobs/full_pipeline.py: give it those of the run that is to come. It asks a judge once, writes and
reads 64 MiB from each node to --out and leaves nothing there. The exit code is 2 where something is wrong.
"""

from collections.abc import Sequence

from raycalib.cli import pipeline_config, refuse_estimate, run_job
from raycalib.errors import ConfigError


def main(arguments: Sequence[str]) -> None:
    """Checks; what needs torch and Ray is imported only once the command line is right."""
    config = pipeline_config(arguments, "Looks at a cluster, its storage, models and judge before money is spent.")
    refuse_estimate(config)
    if config.plan:
        raise ConfigError("plan: jobs/doctor.py plans nothing; use jobs/full_pipeline.py, or leave --plan out")
    from raycalib.doctor.examine import examine

    examine(config)


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
