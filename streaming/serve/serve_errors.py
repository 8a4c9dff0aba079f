"""What a request may be refused with, as HTTP says it. A message is for the one who asked; nothing of ours is in it."""

from collections.abc import Mapping

from engine.errors import (
    CapacityError,
    ConfigError,
    InputError,
    MienError,
    MissingExtraError,
    OutputError,
    SessionError,
)

RETRY_AFTER_S = 5


class RequestError(InputError):
    """A request that cannot be met.

    Attributes:
        status: HTTP's number for it.
        headers: That go with the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def status_of(error: MienError) -> tuple[int, dict[str, str]]:
    """HTTP's status and headers for an error of the engine."""
    if isinstance(error, RequestError):
        return error.status, error.headers
    if isinstance(error, CapacityError):
        return 503, {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, SessionError):
        return 410, {}
    if isinstance(error, MissingExtraError):
        return 501, {}
    if isinstance(error, ConfigError | InputError):
        return 400, {}
    return (507, {}) if isinstance(error, OutputError) else (500, {})
