"""Who publishes in a Janus VideoRoom, from what the plugin tells. Sans-IO."""

from dataclasses import dataclass
from typing import Any, Final

from streaming.bots.janus_protocol import Json

_MOST: Final = 1000
ANYBODY: Final = "*"


@dataclass(frozen=True)
class Participant:
    """One who publishes.

    Attributes:
        id: The room's name for him: a number, or text where the server is set up so.
        display: His own.
        audio_mid: Which of his streams is his voice; None if he has none.
    """

    id: int | str
    display: str
    audio_mid: str | None


class People:
    """Those who publish now, but for ourselves."""

    def __init__(self) -> None:
        self._there: dict[int | str, Participant] = {}

    def __len__(self) -> int:
        """How many."""
        return len(self._there)

    def hear(self, data: Json) -> None:
        """Take in what the plugin says; what is not about people, or malformed, changes nothing."""
        publishers = data.get("publishers")
        for publisher in publishers if isinstance(publishers, list) else []:
            found = _participant(publisher)
            if found is not None and (found.id in self._there or len(self._there) < _MOST):
                self._there[found.id] = found
        for gone in (data.get("leaving"), data.get("unpublished"), data.get("kicked")):
            if isinstance(gone, int | str):
                self._there.pop(gone, None)

    def find(self, wanted: str) -> Participant | None:
        """One who can be heard, by his display name, by his id, or ``*`` for whoever it is; None if he is not there."""
        voices = [person for person in self._there.values() if person.audio_mid is not None]
        for fits in (
            lambda person: person.display == wanted,
            lambda person: str(person.id) == wanted,
            lambda person: wanted == ANYBODY,
        ):
            for person in voices:
                if fits(person):
                    return person
        return None


def _participant(publisher: Any) -> Participant | None:
    if not isinstance(publisher, dict) or not isinstance(publisher.get("id"), int | str):
        return None
    streams = publisher.get("streams")
    voices = [
        stream.get("mid")
        for stream in (streams if isinstance(streams, list) else [])
        if isinstance(stream, dict) and stream.get("type") == "audio" and not stream.get("disabled")
    ]
    mid = next((mid for mid in voices if isinstance(mid, str)), None)
    display = publisher.get("display")
    return Participant(publisher["id"], display if isinstance(display, str) else "", mid)
