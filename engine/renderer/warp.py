"""The geometric renderer: one portrait, moved by its landmarks.

Per avatar everything that does not change is computed once. Per frame the head's motion and the face's expression
are evaluated on a lattice and turned round, the person is resampled once, band by band and where it can be seen, the
mouth is cut open along the lips over its inner layer, the lids slide over the eyeballs, and the result is laid over
the still background.

A network that refines the picture takes its input from ``render_layers``.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import ConfigError
from engine.renderer.canvas import Canvas, Layers, OpaqueCanvas, PersonCanvas, Window
from engine.renderer.expression import Expression
from engine.renderer.geometry import COARSE_CELL, HeadMotion, fine_positions, node_pixels, ramp, smoothstep
from engine.renderer.inner_mouth import InnerMouth
from engine.renderer.inverse import C64, as_pairs, as_points
from engine.renderer.lids import Eye
from engine.renderer.lip_line import find_lip_line, opening_px
from engine.renderer.mouth_layers import MouthLayers, load_mouth_layers
from engine.renderer.opening import UNDERSIDE_REACH, clinging, hollow, keep_within, underside
from engine.renderer.pixels import CELL, F32, U8, affine, blend, double, extent, remap, shaded, soften, unpremultiply
from engine.renderer.resampling import enlarged, half_sampled, lattice, sampled
from engine.renderer.silhouette import Silhouette
from engine.rotation import rotation_matrix
from models.spec import IMAGE_SIZE, INNER_LIPS, JAW, LANDMARKS, MOUTH, POSE_DIM

Floats: TypeAlias = NDArray[np.floating[Any]]
LIP_EDGE_PX = (1.3, 2.6)
"""Pixels over which a lip's edge is smoothed, in a sharp portrait and in a soft one."""
PARTED_PX = 2.4
"""Pixels of opening over which the inside of the mouth comes to be seen."""
NO_REST = 0.025
"""Distance in fu between a portrait's mouth and its template's from which the portrait is not at rest."""
UNFOLDING = 0.01
"""Closing of the upper lid from which its skin is seen to unfold."""

_EXACT = [*range(27, 36), *range(48, LANDMARKS)]
"""Nose and mouth."""


class WarpRenderer:
    """Draws frames of one avatar. After construction nothing changes, so threads may render at once."""

    def __init__(self, avatar: Avatar, mouth: MouthLayers | None = None, *, turn_lips: bool = True) -> None:
        """Prepare ``avatar``.

        Args:
            avatar: The portrait.
            mouth: Textures of the inner mouth; those that ship with the engine by default.
            turn_lips: Shade the upper lip as it turns its underside to the viewer; those of rendered people do not.

        Raises:
            ArtefactError: The shipped textures are missing or damaged.
        """
        self._avatar, self._turn_lips = avatar, turn_lips
        self._head = HeadMotion(avatar)
        unit_px = self._head.unit_px
        self._lips = find_lip_line(avatar, unit_px)
        self._inner = InnerMouth(avatar, mouth or load_mouth_layers(), self._lips, unit_px)
        edge_px = float(np.interp(self._inner.softness, (0, 1), LIP_EDGE_PX))
        self._per_edge = np.float32(1 / edge_px)
        # Beyond the edge of a lip that is parted lies what was behind it: the edge is softened into the lip.
        self._edge = np.float32(0.5 if self._lips.closed else 0.5 * LIP_EDGE_PX[0] / edge_px)
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
        self._edges_off: F32 | None = None
        self._gap_px = 0.0
        if not at_rest:
            # An open or smiling mouth is no rest: its points set out from where the picture has them. What is less
            # is the fit of the template, and is left alone, so that a frame at rest is the portrait.
            for part in (MOUTH, JAW):
                self._origin[part] = self._lips.on_edge(avatar.source_points)[part]
            if not self._lips.closed:
                self._edges_off = np.zeros_like(self._origin)
                self._edges_off[INNER_LIPS] = (self._origin - avatar.source_points)[INNER_LIPS]
                self._gap_px = opening_px(avatar.source_points)
        self._expression = Expression(avatar, self._lips, unit_px, None if at_rest else rest - self._origin)
        self._residual = avatar.source_points - self._origin
        along = self._lips.along / self._lips.half_width
        self._across = np.array([[*along, -along @ self._lips.centre]], np.float32)
        self._coarse = as_points(node_pixels(COARSE_CELL))
        self._visible = Silhouette(avatar.matte)
        # Every other pixel of a frame is looked up here, so it holds no detail finer than that.
        self._soft = soften(self._source[::2, ::2])

    def render(
        self,
        landmarks: Floats,
        pose: Floats,
        gaze: Floats,
        torso: Floats | None = None,
        economy: bool = False,
        out: U8 | None = None,
    ) -> U8:
        """Draw a frame over the avatar's own background, or the person alone.

        Args:
            landmarks: (68, 3) fu, displaced and posed: ``R(pose) @ (template + displacement) + translation``.
            pose: (6,) rotation vector in rad and translation in fu.
            gaze: (2,) rad, yaw to the picture's right and pitch down, 0 as the portrait looks.
            torso: (6,) pose of the shoulders about the same origin; by default they follow the head a little.
            economy: Draw all but mouth and eyes at half resolution, with the same geometry, for less work.
            out: Where to draw, uint8 (512, 512, 3); by default a new picture. One of four channels takes the person
                without a background, as premultiplied RGBA.

        Returns:
            uint8 (512, 512, 3) RGB, or ``out`` if it was given.

        Raises:
            ConfigError: An argument has the wrong shape or is not finite.
        """
        canvas: OpaqueCanvas | PersonCanvas
        if out is not None and out.shape[2] == 4:
            canvas = PersonCanvas(out)
        else:
            canvas = OpaqueCanvas(self._plate, out)
        self.draw(canvas, landmarks, pose, gaze, torso, economy)
        return canvas.picture

    def render_rgba(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> U8:
        """As ``render``, with a transparent background: uint8 (512, 512, 4) RGBA, straight alpha."""
        return unpremultiply(self.render_layers(landmarks, pose, gaze, torso).person)

    def render_layers(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> Layers:
        """Draw the person alone, with the masks of what was painted in. Arguments as for ``render``."""
        layers = Layers()
        self.draw(layers, landmarks, pose, gaze, torso)
        return layers

    def frame_points(self, landmarks: Floats) -> F32:
        """Where a frame shows ``landmarks`` (68, 3) fu, displaced and posed: float32 (68, 2) px."""
        return self._avatar.project(np.asarray(landmarks, np.float32)) + self._residual

    def draw(
        self,
        canvas: Canvas,
        landmarks: Floats,
        pose: Floats,
        gaze: Floats,
        torso: Floats | None = None,
        economy: bool = False,
    ) -> None:
        """Paint the person on ``canvas`` and say where mouth and eyes are. Arguments as for ``render``."""
        landmarks = _checked("landmarks", landmarks, (LANDMARKS, 3))
        pose = _checked("pose", pose, (POSE_DIM,))
        gaze = _checked("gaze", gaze, (2,))
        torso = None if torso is None else _checked("torso", torso, (POSE_DIM,))
        displaced = (landmarks - pose[3:]) @ rotation_matrix(pose[:3]).astype(np.float32)
        frame_points = self.frame_points(landmarks)
        head = self._head.backward(pose, torso)
        displacement = self._lip_motion(self._before_head(self._avatar.project(displaced), frame_points, head))

        margin = 0.16 * self._unit_px
        mouth = _window(frame_points[MOUTH], (margin, margin), (margin, margin), CELL)
        positions, upper, lower = self._positions(head, displacement, mouth)

        self._draw_person(canvas, positions, economy)
        for eye in self._eyes:
            self._draw_eye(canvas, positions, eye, frame_points, displacement, gaze)
        self._draw_mouth(canvas, mouth, (upper, lower), frame_points, pose, displaced - self._avatar.template)

    def _before_head(self, points: F32, frame_points: F32, head: C64) -> F32:
        """Where the landmarks are before any head motion, so that they come to lie at ``frame_points`` after it.

        The head's surface is smooth and its measured depth not quite the landmarks' own, so that mouth and nose, moved
        in space and moved with the picture, would differ by a pixel or two. The outline of a turned face is another
        one in each frame and keeps its ``points`` (68, 2) px, moved in space.
        """
        places = frame_points[_EXACT]
        from_there = remap(as_pairs(head), ((places - (COARSE_CELL - 1) / 2) / COARSE_CELL)[None].astype(np.float32))[0]
        points[_EXACT] = places + from_there - self._residual[_EXACT]
        return points

    def _lip_motion(self, points: F32) -> F32:
        """Displacement (68, 2) px that brings the landmarks to ``points``, before any head motion.

        Where a portrait's lips are parted, the edges that are cut are not quite where the landmarks were measured. By
        as much as they differ there, they may differ in a frame; less where it is less open, so that lips meet, or
        opened wider.
        """
        displacement = points - self._origin
        if self._edges_off is not None:
            opened = opening_px(points) / self._gap_px
            displacement += self._edges_off * (opened if opened < 1 else max(2 - opened, 0.0))
        return displacement

    def _positions(self, head: C64, displacement: F32, mouth: Window) -> tuple[C64, C64, C64]:
        """Where the nodes of the frame come from in the source picture; ``head`` is overwritten.

        Returns:
            complex64 (130, 130) px, with one node beyond the picture on all sides; and the positions on the lattice
            of the window ``mouth``, once as of the upper side and once as of the lower side.
        """
        fields = self._expression.forward(displacement)
        opening = fine_positions(head, lattice(mouth))
        face = self._expression.window(float(np.abs(as_pairs(head)).max()))
        head[face] = self._expression.on_face(fields, head[face] + self._coarse[face]) - self._coarse[face]
        return fine_positions(head), *self._expression.around_mouth(fields, opening)

    def _draw_person(self, canvas: Canvas, positions: C64, economy: bool) -> None:
        """Paint all of the person, as if mouth and eyes were skin as the rest is."""
        for band in self._visible.bands(positions):
            nodes = positions[lattice(band)]
            canvas.paint(band, half_sampled(self._soft, nodes) if economy else sampled(self._source, nodes))

    def _draw_eye(self, canvas: Canvas, positions: C64, eye: Eye, points: F32, displacement: F32, gaze: F32) -> None:
        """Paint over one eye with its lids and its gaze."""
        motion = eye.motion(displacement)
        above, below, beside = eye.reach(motion)
        window = _window(points[eye.landmarks], (beside, above), (beside, below), CELL)
        source = enlarged(positions[lattice(window)])
        lids = eye.slide(source, motion)
        drawn = remap(self._source, lids.upper * 2)
        if motion.upper > UNFOLDING:
            drawn = blend(drawn, eye.smooth_skin(lids.upper), 1 - lids.unfolded, lids.unfolded)
        drawn = blend(drawn, remap(self._source, lids.lower * 2), lids.upper_share, 1 - lids.upper_share)
        if lids.seam is not None:
            skin = np.where(lids.upper_share[..., None] > 0.5, lids.upper, lids.lower)
            drawn = blend(drawn, eye.smooth_skin(skin), 1 - lids.seam, lids.seam)
        part = extent(lids.opening > 0)
        if part is not None:
            ball, seen = eye.look(source[part], gaze, lids.below[part], motion), lids.opening[part]
            drawn[part] = blend(drawn[part], ball, 1 - seen, seen)
        if lids.lashes is not None:
            drawn = shaded(drawn, lids.lashes, eye.lash_shade)
        canvas.paint(window, drawn)
        canvas.mark_eye(window, lids.opening)

    def _draw_mouth(
        self, canvas: Canvas, window: Window, sides: tuple[C64, C64], points: F32, pose: F32, motion: F32
    ) -> None:
        """Paint the lips apart, at full resolution, with the inside of the mouth between them."""
        layers, heights, sources = [], [], []
        for side, height in zip(sides, (self._lips.above, self._lips.below), strict=True):
            source = enlarged(side)
            sources.append(source)
            layers.append(remap(self._source, source * 2))
            heights.append(remap(height, source))
        under, over_lower = heights[0], -heights[1]
        opening = opening_px(points)
        gap = under + over_lower
        seam = np.clip(under / np.maximum(gap, 1e-3), 0, 1)
        keep_within(window, points, under, over_lower)
        if opening > self._gap_px:
            opened = (opening - self._gap_px) / self._unit_px
            if self._turn_lips:
                self._shade_upper(layers[0], sources[0], under, opened)
            part, lost = hollow(window, points, opened, self._unit_px)
            layers[1][part] = shaded(layers[1][part], lost, (0.0, 0.0, 0.0))
        upper_share = ramp(self._edge - under * self._per_edge)
        free = 1 - upper_share
        lower_share = free * ramp(self._edge - over_lower * self._per_edge)
        drawn = blend(layers[0], layers[1], upper_share, lower_share)
        parted = smoothstep((under + over_lower - 0.4) * (1 / PARTED_PX))
        inner_share = (free - lower_share) * parted
        inner = extent(inner_share > 0)
        if inner is not None:
            corner = (window[1].start + inner[1].start, window[0].start + inner[0].start)
            upper, lower = sources[0][inner], sources[1][inner]
            inside = self._inner.draw(corner, upper, under[inner], over_lower[inner], pose, motion)
            outer_share = (upper_share + lower_share)[inner]
            drawn[inner] = blend(drawn[inner], inside, outer_share, inner_share[inner])
            # Where lips cling together, the seam between them is stretched.
            clung = self._clung(upper, gap[inner], opening)
            if clung.any():
                stretched = remap(self._source, (upper + seam[inner][..., None] * (lower - upper)) * 2)
                drawn[inner] = blend(drawn[inner], stretched, 1 - clung, clung)
                inner_share[inner] *= 1 - clung
        canvas.paint(window, drawn)
        canvas.mark_mouth(window, inner_share)

    def _clung(self, source: F32, gap: F32, opening: float) -> F32:
        """How far lips ``opening`` px apart cling together, where they are ``gap`` (h, w) px apart."""
        unit = np.float32(1 / self._unit_px)
        clung = clinging(np.abs(affine(source, self._across)), gap * unit, opening / self._unit_px)
        # A portrait whose lips are parted shows more than a seam there.
        return clung * np.float32(min(opening / self._gap_px, 1.0)) if self._gap_px else clung

    def _shade_upper(self, lip: U8, source: F32, under: F32, opened: float) -> None:
        """Shade the upper lip's layer, whose pixels lie ``under`` (h, w) px below its edge, in place."""
        part = extent(np.abs(under) < UNDERSIDE_REACH * self._unit_px)
        if part is not None:
            unit = np.float32(1 / self._unit_px)
            across = affine(source[part], self._across)
            lost = underside(under[part] * -unit, across, opened)
            lip[part] = shaded(lip[part], lost, (0.0, 0.0, 0.0))


def _checked(name: str, array: Floats, shape: tuple[int, ...]) -> F32:
    array = np.asarray(array, np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise ConfigError(f"The renderer needs finite {name} of shape {shape}, not {array.shape}.")
    return array


def _window(points: F32, before: tuple[float, float], after: tuple[float, float], multiple: int = 1) -> Window:
    """Rows and columns around ``points`` (N, 2) px with margins (x, y) px, on multiples of ``multiple``."""
    rows, columns = (
        slice(first, min(max(math.ceil((high + beyond) / multiple) * multiple, first + 2 * multiple), IMAGE_SIZE))
        for low, high, ahead, beyond in reversed(
            [*zip(points.min(0).tolist(), points.max(0).tolist(), before, after, strict=True)]
        )
        for first in (min(max(math.floor((low - ahead) / multiple) * multiple, 0), IMAGE_SIZE - 2 * multiple),)
    )
    return rows, columns
