"""Errors that a user can cause; each message says what was expected, what came and what to do."""

from raycalib.secrets import hide_message


class RaycalibError(Exception):
    """Base of all errors that raycalib raises on purpose; jobs print it in one line and exit with code 2.

    What came may be a server's text or an address: the message never holds a secret, wherever it is shown or kept.
    """

    def __str__(self) -> str:
        return hide_message(super().__str__())


class ConfigError(RaycalibError):
    """A setting is out of its range or unknown."""


class DataError(RaycalibError):
    """A file or a row is not what its reader expects."""


class StorageError(RaycalibError):
    """A place cannot be read or written."""


class LossNotFiniteError(RaycalibError):
    """The loss became NaN or infinite."""


class StoppedError(RaycalibError):
    """A run was told to stop before its end; it has written a checkpoint after ``step`` steps."""

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"stopped at step {step} of {steps}")
        self.step = step


class ModelError(RaycalibError):
    """A model directory or hub id cannot be used."""


class UnknownModelError(ModelError):
    """A model's name is none: bad input, where weights that are not found are a model's own fault."""


class IncompleteError(RaycalibError):
    """A run went through to its report, which has holes: some of its combos failed. Jobs exit with code 3."""
