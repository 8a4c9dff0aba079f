"""Why a call of others cannot be joined."""

from engine.errors import InputError, SessionError


class JoinRefused(InputError):
    """The other side will not have us as we asked: trying again would not help."""


class JoinUnavailable(SessionError):
    """The other side cannot be reached or has no place now: trying again may help.

    Attributes:
        retry_after_s: When, if it said so.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
