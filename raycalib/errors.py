"""Errors that a user can cause; each message says what was expected, what came and what to do."""


class RaycalibError(Exception):
    """Base of all errors that raycalib raises on purpose; jobs print it in one line and exit with code 2."""


class ConfigError(RaycalibError):
    """A setting is out of its range or unknown."""


class DataError(RaycalibError):
    """A file or a row is not what its reader expects."""


class StorageError(RaycalibError):
    """A place cannot be read or written."""


class LossNotFiniteError(RaycalibError):
    """The loss became NaN or infinite."""


class ModelError(RaycalibError):
    """A model directory or hub id cannot be used."""
