"""A live desk that shows which points its avatar has: for the page on which they are corrected."""

import sys

import cv2
import numpy as np

from engine.artefacts.avatar import Avatar
from engine.care import Care
from engine.controls import Face
from tests.browser import desk_server


class Dotted:
    """A renderer that paints the lip points as white discs on black."""

    workers = 1

    def __init__(self, avatar: Avatar) -> None:
        canvas = np.zeros((512, 512, 3), np.uint8)
        for x, y in avatar.source_points[48:68]:
            cv2.circle(canvas, (round(float(x)), round(float(y))), 5, (255, 255, 255), -1)
        self.picture = np.dstack([canvas, np.full((512, 512), 255, np.uint8)])

    async def render(self, face: Face, care: Care = Care.FULL) -> np.ndarray:
        return self.picture.copy()

    def close(self) -> None:
        pass


def main() -> None:
    """Of the avatar whose file is given."""
    desk_server.main(sys.argv[1], Dotted)
