"""The other end of ``window``: the one place that imports pygame. Ends when its pipe does."""

import contextlib
import json
import os
import sys
import threading
from typing import IO, Any, Final

from models.spec import IMAGE_SIZE
from streaming.live.window import PICTURE_BYTES, TEXT

_POLL_MS: Final = 20


def main() -> None:
    """Open a window, say how that went, and show pictures until there are no more."""
    os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
    pictures, keys = sys.stdin.buffer, os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints must not print among the keys
    try:
        import pygame
    except ImportError:
        _tell(keys, missing=True)
        return
    try:
        pygame.display.init()
        surface = pygame.display.set_mode((IMAGE_SIZE, IMAGE_SIZE), pygame.RESIZABLE)
    except pygame.error as error:
        _tell(keys, error=str(error))
        return
    _tell(keys, open=True)
    _serve(pygame, surface, pictures, keys)


def _serve(pygame: Any, surface: Any, pictures: IO[bytes], keys: IO[str]) -> None:
    """The window's life. Pictures are read on a thread; only this one may touch the window."""
    came = pygame.event.custom_type()
    latest: list[bytes] = []
    titles: list[str] = []

    def read() -> None:
        with contextlib.suppress(EOFError, OSError, pygame.error):
            while True:
                (length,) = TEXT.unpack(_exactly(pictures, TEXT.size))
                if length:
                    titles.append(_exactly(pictures, length).decode())
                latest[:] = [_exactly(pictures, PICTURE_BYTES)]
                pygame.event.post(pygame.event.Event(came))
        with contextlib.suppress(pygame.error):
            pygame.event.post(pygame.event.Event(pygame.QUIT, ended=True))

    threading.Thread(target=read, daemon=True).start()
    picture = None
    while True:
        event = pygame.event.wait(_POLL_MS)
        if event.type == came:
            if titles:
                pygame.display.set_caption(titles.pop())
            picture = pygame.image.frombuffer(latest[0], (IMAGE_SIZE, IMAGE_SIZE), "RGB")
            _draw(pygame, surface, picture)
        elif event.type == pygame.QUIT:
            if not getattr(event, "ended", False):
                _tell(keys, key="close", down=True)
            return
        elif event.type in (pygame.KEYDOWN, pygame.KEYUP):
            _tell(keys, key=pygame.key.name(event.key), down=event.type == pygame.KEYDOWN)
        elif event.type == pygame.VIDEORESIZE:
            surface = pygame.display.get_surface()
            if picture is not None:
                _draw(pygame, surface, picture)


def _draw(pygame: Any, surface: Any, picture: Any) -> None:
    """The picture as large as the window lets it be, in its middle."""
    width, height = surface.get_size()
    side = max(1, min(width, height))
    if side != IMAGE_SIZE:
        picture = pygame.transform.smoothscale(picture, (side, side))
    surface.fill((0, 0, 0))
    surface.blit(picture, ((width - side) // 2, (height - side) // 2))
    pygame.display.flip()


def _tell(keys: IO[str], **what: Any) -> None:
    with contextlib.suppress(OSError):
        keys.write(json.dumps(what) + "\n")


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    """Read ``length`` bytes, or raise EOFError."""
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data
