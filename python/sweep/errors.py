"""The errors of this module. All are a :class:`SweepError`."""

from __future__ import annotations

from typing import Optional


class SweepError(Exception):
    """Anything that the controller, or the way to it, refuses.

    >>> issubclass(NotFound, SweepError)
    True
    """

    #: The code of gRPC (``NotFound``), where the controller answered.
    code: str = ""

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class NotFound(SweepError):
    """There is no such sweep, run or call."""

    code = "NotFound"


class InvalidArgument(SweepError):
    """A value or a sweep file has a mistake; the message has one line for each."""

    code = "InvalidArgument"


class Refused(SweepError):
    """The sweep or the run is not in a state that allows the call."""

    code = "FailedPrecondition"


class AccessDenied(SweepError):
    """The controller asks for another token."""

    code = "Unauthenticated"


class DiskFull(SweepError):
    """The controller's disk is full: nothing was recorded."""

    code = "ResourceExhausted"


class Unavailable(SweepError):
    """No controller answers, or it cannot answer now. The outcome of a call that changes something is unknown."""

    code = "Unavailable"


class TimedOut(Unavailable):
    """The time for the call is over. The outcome of a call that changes something is unknown."""

    code = "DeadlineExceeded"


class NoProgram(SweepError):
    """The program ``sweep`` is neither beside Python nor in ``$PATH``."""


class ParamsError(ValueError):
    """A parameter of the run does not fit the program."""
