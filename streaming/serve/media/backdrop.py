"""What is behind the avatar: its own background, a colour, a picture, or nothing.

A session that draws the person alone gives premultiplied RGBA; every receiver lays that over what it wants. Nothing at
all is sent as *stacked alpha*: the colour, which is black where nobody is, above the opacity as grey, in one picture of
twice the height. Any codec carries it, and a shader puts it together again.
"""

import threading
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.crossfade import fade_share, mix
from engine.errors import ConfigError
from engine.renderer.pixels import over
from models.spec import IMAGE_SIZE

Picture = NDArray[np.uint8]
PictureKind = Literal["desk", "stacked", "original"]
"""On the background that is chosen now, as stacked alpha, or on the avatar's own background."""
TRANSPARENT: Final = "transparent"
_GREEN: Final = "#00ff00"


class Backdrop:
    """A background that may change while pictures are laid over it, from any thread."""

    def __init__(self, plate: Picture, background: str = "original", image: Picture | None = None) -> None:
        """Begin.

        Args:
            plate: uint8 (512, 512, 3) RGB, the avatar's own background.
            background: ``original``, ``transparent``, ``image``, or ``#rrggbb``.
            image: uint8 (512, 512, 3) RGB, for ``image``.

        Raises:
            ConfigError: There is no such background.
        """
        self._lock = threading.Lock()
        self._plate, self._image = plate, image
        self._before: tuple[Picture, int] | None = None
        self.change(background)

    @property
    def background(self) -> str:
        """Which it is."""
        return self._background

    def change(self, background: str) -> None:
        """Another background.

        Raises:
            ConfigError: There is no such background.
        """
        if background == "image" and self._image is None:
            raise ConfigError(
                "There is no background picture: give its path to --background, or name it in the configuration."
            )
        still = None
        if background.startswith("#") or background == TRANSPARENT:
            still = _plain(_GREEN if background == TRANSPARENT else background)
        elif background == "image":
            still = self._image
        elif background != "original":
            raise ConfigError(f"A background is original, transparent, image or #rrggbb, not {background!r}.")
        with self._lock:
            self._background, self._still = background, still

    def become(self, plate: Picture, media_ticks: int) -> None:
        """Another avatar, whose own background takes over from ``media_ticks`` on, in a quarter of a second."""
        with self._lock:
            self._before, self._plate = (self._plate, media_ticks), plate

    def layer(self, kind: PictureKind) -> Callable[[Picture, int], Picture]:
        """What makes the picture that a receiver asked for."""
        return {"desk": self.lay, "stacked": self.stack, "original": self.lay_on_own}[kind]

    def lay(self, picture: Picture, media_ticks: int) -> Picture:
        """An opaque picture; where the background is nothing, over green, to be keyed.

        Args:
            picture: uint8 (512, 512, 4) premultiplied RGBA; one of three channels is given back as it is.
            media_ticks: Its time.

        Returns:
            uint8 (512, 512, 3) RGB.
        """
        still = self._still
        if picture.shape[2] == 3 or still is None:
            return self.lay_on_own(picture, media_ticks)
        return over(picture, still)

    def lay_on_own(self, picture: Picture, media_ticks: int) -> Picture:
        """The same over the avatar's own background, whatever was chosen."""
        return picture if picture.shape[2] == 3 else over(picture, self._own(media_ticks))

    def stack(self, picture: Picture, media_ticks: int) -> Picture:
        """Colour above, opacity below: uint8 (1024, 512, 3) RGB, whatever the background; arguments as for ``lay``."""
        stacked = np.empty((2 * IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        stacked[:IMAGE_SIZE] = picture[..., :3]
        stacked[IMAGE_SIZE:] = picture[..., 3:] if picture.shape[2] == 4 else 255
        return stacked

    def _own(self, media_ticks: int) -> Picture:
        with self._lock:
            if self._before is None:
                return self._plate
            before, begun = self._before
            share = fade_share(media_ticks, begun)
            if share >= 1:
                self._before = None
                return self._plate
            plate = self._plate
        return mix(before, plate, share)


def _plain(colour: str) -> Picture:
    """A picture of ``#rrggbb``.

    Raises:
        ConfigError: It is no colour.
    """
    try:
        rgb = bytes.fromhex(colour.removeprefix("#"))
    except ValueError as error:
        raise ConfigError(f"A colour is written #rrggbb, not {colour!r}.") from error
    if len(rgb) != 3:
        raise ConfigError(f"A colour is written #rrggbb, not {colour!r}.")
    return np.broadcast_to(np.frombuffer(rgb, np.uint8), (IMAGE_SIZE, IMAGE_SIZE, 3)).copy()
