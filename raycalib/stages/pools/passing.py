"""Which faults of loading a model may be gone a while later, or on another node."""

import errno

PASSING_NAMES = {"ConnectError", "ConnectTimeout", "ReadTimeout", "RemoteProtocolError"}
"""Of the hub's client, whose errors are of no class of Python's own."""

PASSING_ERRNOS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH}
SERVER_IS_BUSY = 429


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed: a device, a server or a file system failed, and not the configuration.

    >>> may_pass(RuntimeError("CUDA error: out of memory")), may_pass(TimeoutError()), may_pass(OSError(5, "I/O error"))
    (True, True, True)
    >>> may_pass(FileNotFoundError(2, "no such file")), may_pass(ValueError("a setting"))
    (False, False)
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, RuntimeError | ConnectionError | TimeoutError) or type(found).__name__ in PASSING_NAMES:
            return True
        if isinstance(found, OSError) and (found.errno in PASSING_ERRNOS or _status_of(found) >= SERVER_IS_BUSY):
            return True
        found = found.__cause__
    return False


def _status_of(error: BaseException) -> int:
    """Of a server's answer; 0 where there is none."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return status if isinstance(status, int) else 0
