"""The network renderer: the geometric renderer's frame, refined by a picture network.

::

    landmarks, pose, gaze --> WarpRenderer --> frame, shares of mouth and eyes --> network_input (6, S, S)
                                                  |                                      |
                                                  '--<-- window of the face <-- picture network <-- static

What the network sees of portrait and style is computed once. It gives the finished window (``export.renderer`` puts
blending and border into its graph), so that a frame costs one call. Where the person is drawn alone, for a transparent
background, it sees the person before the portrait's own background, and its change is weighed with the matte.
"""

import numpy as np

from engine.artefacts.avatar import Avatar
from engine.artefacts.picture_network import PictureNetwork, check_patterns
from engine.backend_onnx import OnnxPictureNetwork
from engine.care import Care
from engine.renderer.canvas import Layers, MarkedCanvas, OpaqueCanvas, PersonCanvas, Window
from engine.renderer.mouth_layers import MouthLayers
from engine.renderer.network_input import face_window, source_input, stack_input, whole_frame
from engine.renderer.pixels import F32, U8, over, retouch, unpremultiply
from engine.renderer.warp import Floats, WarpRenderer
from models.spec import IMAGE_SIZE


class NetworkRenderer:
    """Draws frames of one avatar in one style. Threads may render at once."""

    def __init__(
        self,
        avatar: Avatar,
        network: PictureNetwork,
        patterns: U8 | None = None,
        mouth: MouthLayers | None = None,
        *,
        threads: int = 1,
    ) -> None:
        """Prepare ``avatar``.

        Args:
            avatar: The portrait.
            network: Refines what is drawn.
            patterns: uint8 (12, 256, 256), a style's own patterns; by default the network's neutral ones.
            mouth: Textures of the inner mouth; those that ship with the engine by default.
            threads: Threads that one call of the network may use.

        Raises:
            ArtefactError: Textures, patterns or network are missing or damaged.
        """
        if patterns is not None:
            check_patterns(patterns)
        self._warp = WarpRenderer(avatar, mouth)
        self._plate = avatar.plate
        self._whole = network.geometry.size == IMAGE_SIZE
        chosen = network.patterns if patterns is None else patterns
        source = source_input(avatar, network.geometry.size)
        self._network = OnnxPictureNetwork(network, source, chosen, threads=threads)

    def render(
        self,
        landmarks: Floats,
        pose: Floats,
        gaze: Floats,
        torso: Floats | None = None,
        care: Care = Care.FULL,
        out: U8 | None = None,
    ) -> U8:
        """Draw a frame over the avatar's own background, or the person alone.

        Args:
            landmarks: (68, 3) fu, displaced and posed.
            pose: (6,) rotation vector in rad and translation in fu.
            gaze: (2,) rad, yaw to the picture's right and pitch down.
            torso: (6,) pose of the shoulders; by default they follow the head a little.
            care: With less than ``Care.FULL`` the geometric renderer draws alone.
            out: Where to draw, as for ``WarpRenderer.render``.

        Returns:
            uint8 (512, 512, 3) RGB, or ``out`` if it was given.

        Raises:
            ConfigError: An argument has the wrong shape or is not finite.
        """
        if care is not Care.FULL:
            return self._warp.render(landmarks, pose, gaze, torso, care is Care.ECONOMY, out)
        alone = out is not None and out.shape[2] == 4
        below = PersonCanvas(out) if alone and out is not None else OpaqueCanvas(self._plate, out)
        canvas = MarkedCanvas(below)
        self._warp.draw(canvas, landmarks, pose, gaze, torso)
        points = self._warp.frame_points(landmarks)
        if alone:
            self._retouch(below.picture, canvas.mouth, canvas.eyes, points)
        else:
            window = self._window(points)
            crop = below.picture[window]
            self._network.draw(lambda seen: stack_input(crop, canvas.mouth, canvas.eyes, points, window, seen), crop)
        return below.picture

    def render_rgba(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> U8:
        """As ``render``, with a transparent background: uint8 (512, 512, 4) RGBA, straight alpha."""
        return unpremultiply(self.render_layers(landmarks, pose, gaze, torso).person)

    def render_layers(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> Layers:
        """Draw the person alone, with the masks of what was painted in. Arguments as for ``render``."""
        layers = self._warp.render_layers(landmarks, pose, gaze, torso)
        self._retouch(layers.person, layers.mouth, layers.eyes, self._warp.frame_points(landmarks))
        return layers

    def _window(self, points: F32) -> Window:
        return whole_frame() if self._whole else face_window(points)

    def _retouch(self, person: U8, mouth: U8, eyes: U8, points: F32) -> None:
        """Refine premultiplied RGBA ``person`` (512, 512, 4) in place."""
        window = self._window(points)
        before = over(person[window], self._plate[window])
        after = np.empty_like(before)
        self._network.draw(lambda seen: stack_input(before, mouth, eyes, points, window, seen), after)
        retouch(person[window], before, after)
