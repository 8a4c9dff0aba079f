"""The geometric renderer: one portrait, moved by its landmarks.

Per avatar everything that does not change is computed once. Per frame the head's motion and the face's expression
are evaluated on a lattice and turned round, the person is resampled once, the mouth is cut open along the lips over
its inner layer, the lids slide over the eyeballs, and the result is laid over the still background.

A network that refines the picture takes its input from ``render_layers``.
"""

import threading
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import ConfigError
from engine.renderer.expression import CHIN, Expression
from engine.renderer.geometry import NODES, HeadMotion, node_pixels, smoothstep
from engine.renderer.inner_mouth import InnerMouth, MouthLayers, load_mouth_layers
from engine.renderer.lids import Eye, Lids
from engine.renderer.lip_line import find_lip_line
from engine.renderer.pixels import CELL, F32, U8, double, enlarge, over, remap, unpremultiply
from engine.rotation import rotation_matrix
from models.spec import IMAGE_SIZE, JAW, LANDMARKS, MOUTH, POSE_DIM

Floats: TypeAlias = NDArray[np.floating[Any]]
Window: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

LIP_EDGE_PX = 1.3
"""Pixels over which a lip's edge is smoothed."""
NO_REST = 0.025
"""Distance in fu between a portrait's mouth and its template's from which the portrait is not at rest."""
STILL_PX = 1e-3
"""Motion in px below which a part is left as it is."""


@dataclass(frozen=True)
class Layers:
    """A frame before it meets its background, and what its parts are.

    Attributes:
        person: uint8 (512, 512, 4), premultiplied RGBA of the moved person.
        mouth: uint8 (512, 512), how much of each pixel is the inside of the mouth.
        eyes: uint8 (512, 512), how much of each pixel is eyeball.
    """

    person: U8
    mouth: U8
    eyes: U8


class WarpRenderer:
    """Draws frames of one avatar. After construction nothing changes, so threads may render at once."""

    def __init__(self, avatar: Avatar, mouth: MouthLayers | None = None) -> None:
        """Prepare ``avatar``.

        Args:
            avatar: The portrait.
            mouth: Textures of the inner mouth; those that ship with the engine by default.

        Raises:
            ArtefactError: The shipped textures are missing or damaged.
        """
        self._avatar = avatar
        self._head = HeadMotion(avatar)
        unit_px = self._head.unit_px
        self._lips = find_lip_line(avatar, unit_px)
        self._inner = InnerMouth(avatar, mouth or load_mouth_layers(), unit_px)
        self._eyes = (Eye(avatar, unit_px, left=False), Eye(avatar, unit_px, left=True))
        self._unit_px = unit_px

        self._plate = avatar.plate
        share = avatar.matte.astype(np.float32)[..., None] / 255
        layered = np.dstack([np.rint(avatar.image * share).astype(np.uint8), avatar.matte])
        self._source = double(layered)
        np.minimum(self._source[..., :3], self._source[..., 3:], out=self._source[..., :3])

        rest = avatar.project(avatar.template)
        self._origin = rest.copy()
        away = float(np.linalg.norm(avatar.source_points - rest, axis=1)[MOUTH].max())
        at_rest = self._lips.closed and away <= NO_REST * unit_px
        if not at_rest:
            # An open or smiling mouth is no rest: its points set out from where the picture has them. What is less
            # is the fit of the template, and is left alone, so that a frame at rest is the portrait.
            for part in (MOUTH, JAW):
                self._origin[part] = self._lips.on_edge(avatar.source_points)[part]
        self._expression = Expression(avatar, self._lips, unit_px, None if at_rest else rest - self._origin)
        self._residual = avatar.source_points - self._origin
        self._nodes = node_pixels()
        line = np.arange(IMAGE_SIZE, dtype=np.float32) * 2
        self._grid = np.stack(np.meshgrid(line, line), -1)
        self._scratch = threading.local()

    def render(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> U8:
        """Draw a frame over the avatar's own background.

        Args:
            landmarks: (68, 3) fu, displaced and posed: ``R(pose) @ (template + displacement) + translation``.
            pose: (6,) rotation vector in rad and translation in fu.
            gaze: (2,) rad, yaw to the picture's right and pitch down, 0 as the portrait looks.
            torso: (6,) pose of the shoulders about the same origin; by default they follow the head a little.

        Returns:
            uint8 (512, 512, 3) RGB.

        Raises:
            ConfigError: An argument has the wrong shape or is not finite.
        """
        return over(self.render_layers(landmarks, pose, gaze, torso).person, self._plate)

    def render_rgba(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> U8:
        """As ``render``, with a transparent background: uint8 (512, 512, 4) RGBA, straight alpha."""
        return unpremultiply(self.render_layers(landmarks, pose, gaze, torso).person)

    def render_layers(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> Layers:
        """Draw the person alone, with the masks of what was painted in. Arguments as for ``render``."""
        landmarks = _checked("landmarks", landmarks, (LANDMARKS, 3))
        pose = _checked("pose", pose, (POSE_DIM,))
        gaze = _checked("gaze", gaze, (2,))
        torso = None if torso is None else _checked("torso", torso, (POSE_DIM,))
        displaced = (landmarks - pose[3:]) @ rotation_matrix(pose[:3]).astype(np.float32)
        displacement = self._avatar.project(displaced) - self._origin
        frame_points = self._avatar.project(landmarks) + self._residual

        head = self._head.backward(pose, torso)
        before_head = self._nodes + head
        upper, lower = self._expression.backward(displacement)
        by_upper, by_lower = (self._expression.at(field, before_head) for field in (upper, lower))
        on_upper = remap(self._lips.above, before_head + by_upper) < 0
        total = head + np.where(on_upper[..., None], by_upper, by_lower)
        where = self._full_map()
        np.add(self._grid, enlarge(total * np.float32(2), IMAGE_SIZE, IMAGE_SIZE), out=where)

        eyes = [self._slide_lids(eye, where, frame_points, displacement, gaze) for eye in self._eyes]
        person = remap(self._source, where)
        mouth_mask, eye_mask = np.zeros((2, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        for eye, drawn in zip(self._eyes, eyes, strict=True):
            if drawn is None:
                continue
            window, lids, ball = drawn
            _paint(person[window], eye.smooth_skin(lids.upper), lids.unfolded)
            _mix(person[window], remap(self._source, lids.lower * 2), lids.upper_share)
            if ball is not None:
                part, picture = ball
                _paint(person[window][part], picture, lids.opening[part])
                eye_mask[window] = lids.opening * 255
        chin = (displaced - self._avatar.template)[list(CHIN)].mean(0)
        self._open_mouth(person, mouth_mask, head, (upper, lower), frame_points, pose, chin)
        return Layers(person, mouth_mask, eye_mask)

    def _full_map(self) -> F32:
        """This thread's scratch map, float32 (512, 512, 2): positions in the doubled source."""
        if not hasattr(self._scratch, "where"):
            self._scratch.where = np.empty((IMAGE_SIZE, IMAGE_SIZE, 2), np.float32)
        return cast(F32, self._scratch.where)

    def _slide_lids(
        self, eye: Eye, where: F32, points: F32, displacement: F32, gaze: F32
    ) -> tuple[Window, Lids, tuple[Window, F32] | None] | None:
        """Bend the map ``where`` around one eye, unless it is at rest.

        Returns:
            Its window, its lids and, where it is open, the eyeball with its place in the window.
        """
        motion = eye.motion(displacement)
        moved = max(abs(motion.upper), abs(motion.lower)) * self._unit_px
        if moved < STILL_PX and float(np.abs(gaze).max()) * self._unit_px < STILL_PX:
            return None
        unit = self._unit_px
        window = _window(points[list(eye.landmarks)], (0.06 * unit, 0.24 * unit), (0.06 * unit, 0.18 * unit))
        source = where[window] / np.float32(2)
        lids = eye.slide(source, motion)
        where[window] = lids.upper * 2
        part = _extent(lids.opening)
        if part is None:
            return window, lids, None
        return window, lids, (part, eye.look(source[part], gaze, lids.below[part], motion))

    def _open_mouth(
        self,
        person: U8,
        mask: U8,
        head: F32,
        fields: tuple[F32, F32],
        points: F32,
        pose: F32,
        chin: F32,
    ) -> None:
        """Draw the lips apart, at full resolution, with the inside of the mouth between them, into ``person``."""
        margin = 0.16 * self._unit_px
        window = _window(points[MOUTH], (margin, margin), (margin, margin), CELL)
        before_head = self._full_resolution(head, window)
        layers, heights = [], []
        for field, height in zip(fields, (self._lips.above, self._lips.below), strict=True):
            source = before_head + self._expression.at(field, before_head)
            layers.append(remap(self._source, source * 2).astype(np.float32))
            heights.append(remap(height, source))
        under, over_lower = heights[0], -heights[1]
        upper_share = np.clip(0.5 - under / LIP_EDGE_PX, 0, 1)
        free = 1 - upper_share
        lower_share = free * np.clip(0.5 - over_lower / LIP_EDGE_PX, 0, 1)
        parted = smoothstep((under + over_lower - 0.4) / 1.4)
        inner_share = (free - lower_share) * parted
        total = upper_share + lower_share + inner_share
        drawn = layers[0] * (upper_share / total)[..., None] + layers[1] * (lower_share / total)[..., None]
        alpha = cast(F32, inner_share / total)
        part = _extent(alpha)
        if part is not None:
            corner = (window[1].start + part[1].start, window[0].start + part[0].start)
            inside = self._inner.draw(corner, under[part], over_lower[part], pose, chin)
            drawn[part][..., :3] += inside * alpha[part][..., None]
            drawn[part][..., 3] += 255 * alpha[part]
            mask[window] = alpha * 255
        person[window] = np.rint(drawn)

    def _full_resolution(self, field: F32, window: Window) -> F32:
        """Pixel positions of ``window`` (a multiple of CELL) moved by the lattice field ``field``."""
        rows, columns = window
        low_y, low_x = max(rows.start // CELL - 1, 0), max(columns.start // CELL - 1, 0)
        high_y, high_x = min(rows.stop // CELL + 1, NODES), min(columns.stop // CELL + 1, NODES)
        nodes = np.ascontiguousarray(field[low_y:high_y, low_x:high_x])
        large = enlarge(nodes, (high_x - low_x) * CELL, (high_y - low_y) * CELL)
        y, x = rows.start - low_y * CELL, columns.start - low_x * CELL
        part = large[y : y + rows.stop - rows.start, x : x + columns.stop - columns.start]
        return cast(F32, part + self._grid[window] / 2)


def _checked(name: str, array: Floats, shape: tuple[int, ...]) -> F32:
    array = np.asarray(array, np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise ConfigError(f"The renderer needs finite {name} of shape {shape}, not {array.shape}.")
    return array


def _window(points: F32, before: tuple[float, float], after: tuple[float, float], multiple: int = 1) -> Window:
    """Rows and columns around ``points`` (N, 2) px with margins (x, y) px, on multiples of ``multiple``."""
    low = np.floor((points.min(0) - before) / multiple).astype(int) * multiple
    high = np.ceil((points.max(0) + after) / multiple).astype(int) * multiple
    low = np.clip(low, 0, IMAGE_SIZE - 2 * multiple)
    high = np.clip(high, low + 2 * multiple, IMAGE_SIZE)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _extent(share: F32) -> Window | None:
    """The smallest window of all that is not 0, or None."""
    rows, columns = np.flatnonzero(share.any(1)), np.flatnonzero(share.any(0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _mix(person: U8, other: U8, share: F32) -> None:
    """Keep ``share`` (h, w) of a picture and take the rest from another, in place."""
    person[...] = np.rint(other + (person.astype(np.float32) - other) * share[..., None])


def _paint(person: U8, picture: F32, alpha: F32) -> None:
    """Lay opaque RGB over premultiplied RGBA, in place."""
    share = alpha[..., None]
    person[..., :3] = np.rint(person[..., :3] * (1 - share) + picture * share)
    person[..., 3] = np.rint(person[..., 3] * (1 - alpha) + 255 * alpha)
