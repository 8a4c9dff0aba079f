"""The renderer of a recording on a graphics card: processes that sketch, one card that draws.

As ``engine.render_workers`` without a card: threads ask, and what they ask at once is drawn in one launch.
"""

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.backends.painter import open_painter
from engine.card_room import CardRoom
from engine.drawing import Drawing
from engine.render_workers import WorkerRenderer
from engine.renderer.sketch import unpack_sketch

BUCKETS = (1, 2, 4)


class CardWorkers:
    """Draws one avatar; as many threads may call ``render`` at once as there are processes."""

    def __init__(self, device: str, drawing: Drawing, workers: int) -> None:
        """Open the card and start the processes.

        Args:
            device: As ``engine.backends.devices.Choice`` names it.
            drawing: What to draw.
            workers: How many processes.

        Raises:
            ArtefactError: The graph cannot be loaded there.
            MissingExtraError: A library is missing.
        """
        painter = open_painter(device, drawing.network, buckets=BUCKETS, avatars=2)
        self._room = CardRoom(painter, drawing.network, most=BUCKETS[-1])
        try:
            sketched, self._who = self._room.seat(drawing.avatar, drawing.patterns)
            self._sketchers = WorkerRenderer(sketched, workers)
        except BaseException:
            self._room.close()
            raise

    def __enter__(self) -> Self:
        """The running card."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def render(
        self,
        landmarks: NDArray[np.float32],
        pose: NDArray[np.float32],
        gaze: NDArray[np.float32],
        torso: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        """Draw a frame, waiting for a free process and for the card.

        Args:
            landmarks: float32 (68, 3) fu, displaced and posed.
            pose: float32 (6,) of the head, rad and fu.
            gaze: float32 (2,) rad.
            torso: float32 (6,) of the shoulders.

        Returns:
            uint8 (512, 512, 3) RGB.

        Raises:
            ConfigError: An argument has the wrong shape or is not finite.
            MienError: A process's own error, or the card failed.
        """
        sketch = unpack_sketch(self._sketchers.render(landmarks, pose, gaze, torso))
        return self._room.draw(0, sketch, self._who).result()

    def close(self) -> None:
        """End the processes and the card's thread; closing twice is legal."""
        self._sketchers.close()
        self._room.close()
