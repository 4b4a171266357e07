"""Makes one page and one summary of what runs and evaluation jobs left, without a model.

python jobs/report.py --run runs/demo                            # the run's own report and all evaluation jobs in it
python jobs/report.py --run runs/demo --run s3://bucket/other --out runs/both

Figures that are not there are computed again, from the predictions that are stored row by row. Of two evaluations
of one model, style, set and method the later one is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raycalib.cli import run_job, simple_config
from raycalib.errors import ConfigError
from raycalib.list_flags import gather_lists
from raycalib.stages.settings import RaySettings


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which runs, and where their page goes.

    Attributes:
        runs: directories of runs (--run DIR, again and again), any URI.
        out: where the page and the summary go; None is report-all in the first run.
        n_resamples: of the bootstrap behind each interval; None is as many as each run has.
        ray: the cluster and its workers.
    """

    runs: tuple[str, ...] = ()
    out: str | None = None
    n_resamples: int | None = None
    ray: RaySettings = field(default_factory=RaySettings)

    def __post_init__(self) -> None:
        if self.n_resamples is not None and self.n_resamples < 1:
            raise ConfigError(f"n_resamples: {self.n_resamples} is not allowed; at least 1")


def main(arguments: Sequence[str]) -> None:
    """Reports; what needs Ray is imported only once the command line is right."""
    config = simple_config(
        ReportConfig, gather_lists(arguments, {"--run": "--runs", "--runs": "--runs"}), __doc__ or ""
    )
    if not config.runs:
        raise ConfigError("runs: none is named; name a run's directory by --run DIR")
    from raycalib.steps.joined_report import joined_report

    joined_report(config.runs, config.out, config.n_resamples, config.ray)


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
