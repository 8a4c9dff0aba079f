import io

from streaming.progress import show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_ten_plain_lines() -> None:
    stream = io.StringIO()
    with show_progress(stream, "Rendering a.mp4") as display:
        for done in range(1, 1001):
            display.update(done, 1000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10 and "\x1b" not in stream.getvalue()
    assert lines[0] == "Rendering a.mp4: 100 of 1000 frames (10 %)"


def test_an_unknown_length_is_told_in_frames() -> None:
    stream = io.StringIO()
    with show_progress(stream, "Rendering") as display:
        for done in range(1, 1300):
            display.update(done, None)
    assert stream.getvalue().splitlines() == ["Rendering: 600 frames", "Rendering: 1200 frames"]


def test_a_terminal_gets_a_bar_with_the_time_left() -> None:
    stream = Terminal()
    with show_progress(stream, "Rendering") as display:
        display.update(30, 60)
    assert "ETA" in stream.getvalue() and "30/60" in stream.getvalue()
