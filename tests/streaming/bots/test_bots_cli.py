"""``mien join`` says in one line what is wrong, before anything is opened."""

import pytest

from streaming.cli import run

JANUS = ["join", "janus", "--url", "ws://127.0.0.1:9", "--room", "1", "--avatar", "ada"]
WHIP = ["join", "whip", "http://127.0.0.1:9/whip", "--avatar", "ada"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*JANUS, "--speech", "a.wav", "--listen", "Bob"], "two voices for one mouth"),
        ([*JANUS, "--fps", "31"], "--fps"),
        ([*JANUS, "--lookahead", "19"], "--lookahead"),
        ([*JANUS, "--codec", "AV1"], "--codec"),
        ([*WHIP, "--ice-server", "nonsense"], "is no ICE server"),
        ([*WHIP, "--speech", "no-such-file.wav"], "There is no file no-such-file.wav"),
        (["join", "whip", "ftp://x", "--avatar", "ada"], "no address of a WHIP endpoint"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1
