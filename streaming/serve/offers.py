"""What a peer's offer may be, checked before anything is opened for it. Pure functions on SDP's lines."""

import itertools
import re
from dataclasses import dataclass
from typing import Final

from streaming.serve.serve_errors import RequestError

MAX_SDP_BYTES: Final = 64 << 10
_MAX_CANDIDATES: Final = 48
_MAX_LINE: Final = 2048
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_NEEDED: Final = ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
_MEDIA = re.compile(r"m=(\w+) \d{1,5}(?:/\d+)? \S+")


@dataclass(frozen=True)
class Section:
    """One ``m=`` section.

    Attributes:
        kind: ``audio`` or ``video``.
        direction: As the offerer sees it.
    """

    kind: str
    direction: str

    @property
    def sends(self) -> bool:
        """Whether the offerer would send."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        """Whether the offerer would receive."""
        return self.direction in ("sendrecv", "recvonly")


def read_offer(sdp: str) -> list[Section]:
    """The sections of an offer.

    Raises:
        RequestError: 400: it is no SDP offer for a call; 406: it asks for what is not done here; 413: it is too long.
    """
    if len(sdp) > MAX_SDP_BYTES:
        raise RequestError(413, f"An offer has at most {MAX_SDP_BYTES >> 10} KB.")
    lines = sdp.replace("\r\n", "\n").split("\n")
    if lines[0] != "v=0":
        raise RequestError(400, "That is no SDP: an offer begins with v=0.")
    if max(map(len, lines)) > _MAX_LINE or sum(line.startswith("a=candidate:") for line in lines) > _MAX_CANDIDATES:
        raise RequestError(400, f"An offer has at most {_MAX_CANDIDATES} candidates, and {_MAX_LINE} letters a line.")
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    sections = []
    for start, end in itertools.pairwise([*starts, len(lines)]):
        found = _MEDIA.match(lines[start])
        if found is None:
            raise RequestError(400, "An m= line of the offer is malformed.")
        named = [line[2:] for line in lines[start:end] if line.startswith("a=") and line[2:] in _DIRECTIONS]
        sections.append(Section(found[1], named[0] if named else "sendrecv"))
    for name in _NEEDED:
        if not any(line.startswith(f"a={name}:") for line in lines):
            raise RequestError(400, f"The offer lacks {name}: it must come from a WebRTC connection.")
    kinds = [section.kind for section in sections]
    if not kinds:
        raise RequestError(400, "The offer has no media: add an audio or a video section.")
    if set(kinds) - {"audio", "video"} or len(set(kinds)) < len(kinds):
        raise RequestError(406, "An offer here has one audio section, one video section, or one of each.")
    if len(kinds) > 1 and not any(line.startswith("a=group:BUNDLE ") for line in lines):
        raise RequestError(406, "The sections of an offer must be bundled (a=group:BUNDLE).")
    return sections


@dataclass(frozen=True)
class Fragment:
    """A piece of trickled ICE (RFC 8840).

    Attributes:
        username: The ICE user fragment it belongs to, if it says so.
        candidates: (candidate line without ``a=candidate:``, mid) each.
        complete: Whether there will be no more.
    """

    username: str | None
    candidates: tuple[tuple[str, str | None], ...]
    complete: bool


def read_fragment(text: str) -> Fragment:
    """A piece of trickled ICE.

    Raises:
        RequestError: 400: it is none.
    """
    username, mid, complete = None, None, False
    candidates: list[tuple[str, str | None]] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if len(line) > _MAX_LINE or (line and (len(line) < 2 or line[1] != "=")):
            raise RequestError(400, "That is no trickle-ice-sdpfrag.")
        name, _, value = line.partition(":")
        if name == "a=ice-ufrag":
            username = value.strip()
        elif name == "a=mid":
            mid = value.strip()
        elif name == "a=candidate":
            candidates.append((value.strip(), mid))
        complete = complete or name == "a=end-of-candidates"
    if username is None and not candidates and not complete:
        raise RequestError(400, "That is no trickle-ice-sdpfrag: it has no ICE attribute.")
    if len(candidates) > _MAX_CANDIDATES:
        raise RequestError(400, f"A fragment has at most {_MAX_CANDIDATES} candidates.")
    return Fragment(username, tuple(candidates), complete)


def offered_username(sdp: str) -> str | None:
    """The ICE user fragment of an offer or answer."""
    found = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    return found[1] if found else None
