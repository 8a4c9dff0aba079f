"""What the API's description says of answers that refuse."""

from typing import Any, Final

from streaming.serve.messages import Failure

_TEXTS: Final = {
    400: "It cannot be used as it is; the message says why.",
    403: "It may not be changed from here.",
    404: "There is none of that name.",
    406: "The offer cannot be met.",
    409: "The session's mode does not allow it.",
    410: "The session has ended.",
    412: "The fragment belongs to another ICE session.",
    413: "It is too large.",
    415: "It is of another media type.",
    422: "A field is missing, unknown or out of range; or ICE is to be restarted.",
    428: "If-Match is missing.",
    501: "The server lacks an extra.",
    503: "There is no place now; see Retry-After.",
    507: "The file cannot be written.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a door's ``responses``."""
    return {status: {"model": Failure, "description": _TEXTS[status]} for status in statuses}
