"""Keeps what Tune prints by itself from a run's own lines."""

import logging
import os

from ray.tune.progress_reporter import TrialProgressCallback

NOT_WANTED = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a job's place has its own event files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run, as it does elsewhere
    "RAY_AIR_NEW_OUTPUT": "0",  # it prints a box even where it is to be silent
}
MISS_LOGGERS_FILES = ("ray.tune.tune", "ray.tune.analysis.experiment_analysis")


def quiet_tune() -> None:
    """Sets what Tune reads of the environment, and silences those of its modules that miss files of its loggers."""
    for name, value in NOT_WANTED.items():
        os.environ.setdefault(name, value)
    for module in MISS_LOGGERS_FILES:
        logging.getLogger(module).setLevel(logging.ERROR)


class NoLines(TrialProgressCallback):
    """In place of Tune's own, which has a line of a trial that ends without a report even where it is to be silent."""

    def _print(self, msg: str) -> None:
        """Prints nothing."""
