import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.serve.offers import Fragment, Section, read_fragment, read_offer
from streaming.serve.serve_errors import RequestError

OFFER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=ice-ufrag:user
a=ice-pwd:word
a=fingerprint:sha-256 00
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=sendonly
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:1
a=recvonly
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sections_and_their_directions(end: str) -> None:
    audio, video = read_offer(OFFER.replace("\n", end))
    assert (audio, video) == (Section("audio", "sendonly"), Section("video", "recvonly"))
    assert audio.sends and not audio.receives and video.receives and not video.sends
    assert read_offer(OFFER.replace("a=sendonly\n", ""))[0].direction == "sendrecv"


@pytest.mark.parametrize(
    ("sdp", "status"),
    [
        ("", 400),
        ("v=1\n", 400),
        (OFFER.replace("m=audio 9", "m=audio nine"), 400),
        (OFFER.replace("a=setup:", "a=x:"), 400),
        (OFFER + "a=candidate:x\n" * 100, 400),
        (OFFER + "a=" + "x" * 3000, 400),
        (OFFER + "x" * 70_000, 413),
        (OFFER + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n", 406),
        (OFFER + "m=video 9 UDP/TLS/RTP/SAVPF 96\n", 406),
        (OFFER.replace("a=group:BUNDLE 0 1\n", ""), 406),
    ],
)
def test_what_is_not_answered(sdp: str, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        read_offer(sdp)
    assert refused.value.status == status and str(refused.value).endswith(".")


def test_a_fragment() -> None:
    text = (
        "a=ice-ufrag:me\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 h 2 typ host\r\na=end-of-candidates"
    )
    assert read_fragment(text) == Fragment("me", (("1 1 udp 1 h 2 typ host", "0"),), True)


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(["v=0", "m=audio 9 x 1", "m=", "a=", "a=mid:", "a=candidate:", "\n", "\r\n", "=", " "]))
)
def test_any_lines_are_read_or_refused(parts: list[str]) -> None:
    text = "".join(parts)
    for read in (read_offer, read_fragment):
        try:
            read(text)
        except RequestError as error:
            assert error.status in (400, 406)
