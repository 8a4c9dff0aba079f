"""The window's two ends, with SDL's driver that has no screen."""

import io
import json
import threading
from typing import Any

import numpy as np
import pytest

from streaming.live import window_process
from streaming.live.live_errors import DeviceError
from streaming.live.window import TEXT, Window

pygame = pytest.importorskip("pygame", reason="the [live] extra is not installed")
PICTURE = np.full((512, 512, 3), 90, np.uint8)


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def test_a_window_shows_pictures_until_it_is_closed() -> None:
    window = Window(lambda *_: None)
    for _ in range(3):
        window.show(PICTURE)
        window.retitle("Mien - ada")
    window.close()
    window.close()
    with pytest.raises(DeviceError, match="closed"):
        window.show(PICTURE)


def test_without_a_screen_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(DeviceError, match="--no-window"):
        Window(lambda *_: None)


def test_keys_go_out_and_pictures_come_in() -> None:
    pygame.display.init()
    surface = pygame.display.set_mode((600, 512))
    said, shown = io.StringIO(), threading.Event()
    title = b"Mien"

    class Pictures(io.BytesIO):
        """Ends only when the picture that was in it has been drawn, and the keys have been pressed."""

        def read(self, length: int | None = -1) -> bytes:
            found = super().read(length)
            if not found:
                assert shown.wait(20)
            return found

    def draw(library: Any, onto: Any, picture: Any) -> None:
        original(library, onto, picture)
        if not shown.is_set():
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE))
            pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_SPACE))
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_F1))
            shown.set()

    original, window_process._draw = window_process._draw, draw
    try:
        pipe = Pictures(TEXT.pack(len(title)) + title + PICTURE.tobytes())
        window_process._serve(pygame, surface, pipe, said)
        assert tuple(surface.get_at((300, 256)))[:3] == (90, 90, 90)
        assert tuple(surface.get_at((5, 256)))[:3] == (0, 0, 0), "a square in the middle"
        assert pygame.display.get_caption()[0] == "Mien"
    finally:
        window_process._draw = original
        pygame.display.quit()
    told = [json.loads(line) for line in said.getvalue().splitlines()]
    assert told == [
        {"key": "space", "down": True},
        {"key": "space", "down": False},
        {"key": "f1", "down": True},
    ]
