"""Draws heads with OpenGL, without a display: Mesa on a CPU, the driver's EGL on a graphics card.

The one door to moderngl. A head is a list of parts; a frame is drawn in linear light with multisampling, graded, and
drawn once more as a mask without smoothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import MissingExtraError
from training.corpus.heads import shaders
from training.corpus.heads.base_head import TURNING
from training.corpus.heads.camera import Camera
from training.corpus.heads.grading import Grading
from training.corpus.heads.lighting import Light, parallel_view, shadow_view
from training.corpus.heads.mask_classes import MaskClass

try:
    import moderngl
except ImportError as error:
    raise MissingExtraError("Rendering heads needs moderngl: pip install 'mien[train]'.") from error

Uniforms = dict[str, Any]

_SHADOW_PX: Final = 768
_OCCLUSION_PX: Final = 512
_MATERIALS: Final = {
    "skin": shaders.SKIN,
    "eye": shaders.EYE,
    "cornea": shaders.CORNEA,
    "teeth": shaders.TEETH,
    "tongue": shaders.TONGUE,
    "hair": shaders.HAIR,
    "cloth": shaders.CLOTH,
    "brow": shaders.FRINGE,
    "lash": shaders.FRINGE,
}
_ALPHA_TO_COVERAGE: Final = 0x809E
"""GL_SAMPLE_ALPHA_TO_COVERAGE."""
_CUT: Final = {"hair": 0.5, "brow": 0.4, "lash": 0.5}
"""Alpha below which a material is not there, for shadows and masks."""
_ATTRIBUTES: Final = ("uv", "shares", "traits", "opened", "lower", "kind")
TRAITS: Final = 6
"""As the vertex shader takes them: ``traits``, ``opened``, ``lower``."""


@dataclass
class Part:
    """Something that is drawn with one material.

    Attributes:
        material: Name of its program.
        picture: Its texture.
        kind: Class in the mask, or None if every vertex has its own.
        uniforms: What its program takes beside the scene's.
        shadows: Whether it casts any.
        push: Depth in fu that it is moved back, so that what lies just behind skin stays there.
        visible: Whether it is drawn.
        count: Indices to draw.
    """

    material: str
    picture: Any
    kind: MaskClass | None
    uniforms: Uniforms
    shadows: bool
    push: float
    count: int
    visible: bool = True
    moving: Any = None
    fixed: Any = None
    indices: Any = None
    arrays: dict[str, Any] = field(default_factory=dict)


class HeadRenderer:
    """One graphics context and the parts of the head in it; to be used by the thread that made it."""

    def __init__(self, size: int, samples: int = 4) -> None:
        """Open a context without a display and compile the programs.

        Args:
            size: Pixels of the square picture.
            samples: Of each pixel; 1 is two to three times as fast on a CPU, with hard edges.

        Raises:
            MissingExtraError: No EGL driver is there.
        """
        try:
            self._gl = gl = moderngl.create_standalone_context(backend="egl")  # type: ignore[arg-type]  # its hint is wrong
        except Exception as error:  # moderngl raises bare Exception here
            raise MissingExtraError(
                f"No EGL driver to draw with ({error}); on Debian install libegl1 and libegl-mesa0, or a GPU's driver."
            ) from error
        self.size = size
        self._enter()
        self._materials = {name: gl.program(shaders.VERTEX, source) for name, source in _MATERIALS.items()}
        self._depth = gl.program(shaders.VERTEX, shaders.DEPTH)
        self._mask = gl.program(shaders.VERTEX, shaders.MASK)
        background = gl.program(shaders.SCREEN, shaders.BACKGROUND)
        self._grade = gl.program(shaders.SCREEN, shaders.GRADE)
        square = (size, size)
        # One sample is asked for by none: a card rounds one up to four.
        samples = samples if samples > 1 else 0
        self._smooth = samples > 0
        self._drawn = gl.framebuffer(
            [gl.renderbuffer(square, 4, samples=samples, dtype="f2")], gl.depth_renderbuffer(square, samples=samples)
        )
        self._light = gl.texture(square, 4, dtype="f2")
        self._resolved = gl.framebuffer([self._light])
        self._graded = gl.framebuffer([gl.renderbuffer(square, 4)])
        self._masked = gl.framebuffer([gl.renderbuffer(square, 4)], gl.depth_renderbuffer(square))
        self._shadow = gl.depth_texture((_SHADOW_PX, _SHADOW_PX))
        self._shadow.compare_func = "<="
        self._shadow.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._shadow_target = gl.framebuffer([], self._shadow)
        self._seen = gl.depth_texture((_OCCLUSION_PX, _OCCLUSION_PX))
        self._seen_target = gl.framebuffer([], self._seen)
        self._backdrop = gl.vertex_array(background, [])
        self._sheet = gl.vertex_array(self._grade, [])
        self._blank = self.texture(np.full((1, 1, 4), 255, np.uint8))
        self.parts: list[Part] = []

    @property
    def driver(self) -> str:
        """Name of what draws, for provenance."""
        return str(self._gl.info["GL_RENDERER"])

    def texture(self, picture: NDArray[np.uint8]) -> Any:
        """A texture from uint8 (H, W, 4) RGBA, first row at the top."""
        self._enter()
        height, width = picture.shape[:2]
        texture = self._gl.texture((width, height), 4, np.ascontiguousarray(picture[::-1]).tobytes())
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        return texture

    def add(
        self,
        material: str,
        indices: NDArray[np.int32],
        uv: NDArray[np.float32],
        shares: NDArray[np.float32],
        *,
        traits: NDArray[np.float32] | None = None,
        kinds: NDArray[np.uint8] | None = None,
        kind: MaskClass | None = None,
        picture: Any = None,
        uniforms: Uniforms | None = None,
        shadows: bool = True,
        push: float = 0.0,
    ) -> Part:
        """Put a part into the head; ``place`` gives it its form.

        Args:
            material: One of the programs: skin, eye, cornea, teeth, tongue, hair, cloth, brow, lash.
            indices: int32 (T, 3).
            uv: float32 (R, 2).
            shares: float32 (R, 4), skin weights of the bones of ``TURNING``.
            traits: float32 (R, 6), see ``TRAITS``; open to light and plain if None.
            kinds: uint8 (R,) mask class of every vertex.
            kind: Mask class of the whole part; if both are None it is not in the mask.
            picture: Texture of ``texture``; white if None.
            uniforms: For its program.
            shadows: Whether it casts any.
            push: Depth in fu that it is moved back.
        """
        self._enter()
        count = len(uv)
        traits = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (count, 1)) if traits is None else traits
        part = Part(material, picture or self._blank, kind, uniforms or {}, shadows, push, indices.size)
        part.moving = self._gl.buffer(reserve=24 * count, dynamic=True)
        column = np.zeros((count, 1), np.float32) if kinds is None else kinds[:, None].astype(np.float32)
        part.fixed = self._gl.buffer(np.concatenate([uv, shares, traits, column], 1).astype(np.float32).tobytes())
        part.indices = self._gl.buffer(np.ascontiguousarray(indices, np.int32).tobytes())
        content = [(part.moving, "3f 3f", "position", "normal"), (part.fixed, "2f 4f 4f 1f 1f 1f", *_ATTRIBUTES)]
        wanted = {"draw": self._materials[material], "depth": self._depth}
        if kind is not None or kinds is not None:
            wanted["mask"] = self._mask
        for name, program in wanted.items():
            part.arrays[name] = self._gl.vertex_array(program, content, part.indices, skip_errors=True)
        self.parts.append(part)
        return part

    def place(self, part: Part, points: NDArray[np.float32], normals: NDArray[np.float32]) -> None:
        """Give a part its form: positions and unit normals float32 (R, 3), before the head turns."""
        self._enter()
        part.moving.write(np.concatenate([points, normals], 1).astype(np.float32).tobytes())

    def colour(self, part: Part, traits: NDArray[np.float32]) -> None:
        """Replace the traits of a part, float32 (R, 6)."""
        self._enter()
        count = len(traits)
        fixed = np.frombuffer(part.fixed.read(), np.float32).reshape(count, -1).copy()
        fixed[:, 6 : 6 + TRAITS] = traits
        part.fixed.write(fixed.tobytes())

    def show(self, part: Part, indices: NDArray[np.int32]) -> None:
        """Draw only these of a part's triangles, at most as many as it was made with."""
        self._enter()
        part.indices.write(np.ascontiguousarray(indices, np.int32).tobytes())
        part.count = indices.size

    def clear(self) -> None:
        """Take the head away, textures of its own too."""
        self._enter()
        for part in self.parts:
            for thing in (*part.arrays.values(), part.moving, part.fixed, part.indices):
                thing.release()
        for picture in {id(p.picture): p.picture for p in self.parts if p.picture is not self._blank}.values():
            picture.release()
        self.parts = []

    def occlusion(
        self,
        surfaces: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
        directions: NDArray[np.float32],
        without: Iterable[str] = (),
    ) -> list[NDArray[np.float32]]:
        """How open surfaces are to the sky: the share of a cosine-weighted hemisphere that no part hides.

        Args:
            surfaces: Points float32 (n, 3) and unit normals (n, 3), of the head at rest.
            directions: float32 (m, 3) unit, evenly over the sphere.
            without: Materials that hide nothing.

        Returns:
            For every surface float32 (n,), 0 to 1.
        """
        self._enter()
        still = [np.eye(4, dtype=np.float32)] * (len(TURNING) + 1)
        hidden = frozenset(without)
        casting = [part for part in self.parts if part.material not in hidden]
        sums = [(np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)) for points, _ in surfaces]
        for direction in directions:
            view = parallel_view(direction, np.array([0, -0.2, -0.2], np.float32), 3.4)
            self._draw_depth(self._seen_target, view, still, casting)
            depth = np.frombuffer(self._seen.read(alignment=1), np.float32).reshape(_OCCLUSION_PX, _OCCLUSION_PX)
            for (points, normals), (total, seen) in zip(surfaces, sums, strict=True):
                clip = (points + np.float32(0.02) * normals) @ view[:3, :3].T + view[:3, 3]
                place = np.clip(((clip[:, :2] * 0.5 + 0.5) * _OCCLUSION_PX).astype(np.int32), 0, _OCCLUSION_PX - 1)
                # Less comes from the ground.
                weight = np.maximum(normals @ direction, 0) * np.float32(1.0 if direction[1] < 0.3 else 0.55)
                total += weight
                seen += weight * (clip[:, 2] * 0.5 + 0.5 <= depth[place[:, 1], place[:, 0]] + 0.0015)
        return [(seen / np.maximum(total, np.float32(1e-6))).astype(np.float32) for total, seen in sums]

    def render(
        self,
        bones: list[NDArray[np.float32]],
        camera: Camera,
        light: Light,
        grading: Grading,
        background: Any,
    ) -> NDArray[np.uint8]:
        """Draw a frame.

        Args:
            bones: float32 (4, 4) each, those of ``TURNING`` and the shoulders, in face coordinates.
            camera: Where from.
            light: Of the scene.
            grading: Exposure and colours; lens and grain are not drawn here.
            background: Texture of ``texture``.

        Returns:
            uint8 (size, size, 3) RGB.
        """
        gl = self._enter()
        shadow = shadow_view(light.key_to)
        self._draw_depth(self._shadow_target, shadow, bones, [part for part in self.parts if part.shadows])
        self._drawn.use()
        self._drawn.clear(0, 0, 0, 1, depth=1.0)
        gl.disable(moderngl.BLEND)
        gl.disable(moderngl.DEPTH_TEST)
        background.use(0)
        self._backdrop.render(moderngl.TRIANGLES, vertices=3)
        gl.enable(moderngl.DEPTH_TEST)
        self._shadow.use(2)
        scene = {
            **light.uniforms(),
            "bones": _columns(bones),
            "camera": camera.clip_matrix(self.size).T,
            "light_view": shadow.T,
            "eye": camera.eye,
            "softness": light.softness,
            "hard": 0.0 if self._smooth else 1.0,
        }
        for program in self._materials.values():
            _set(program, {**scene, "picture": 0, "detail": 1, "shadow_map": 2})
        # Closed surfaces: what looks away is behind what looks here.
        gl.enable(moderngl.CULL_FACE)
        self._draw_parts(("eye", "skin"))
        gl.disable(moderngl.CULL_FACE)
        self._draw_parts(("cloth", "teeth", "tongue"))
        gl.enable(moderngl.BLEND)
        self._drawn.depth_mask = False
        gl.blend_func = moderngl.ONE, moderngl.ONE
        self._draw_parts(("cornea",))
        gl.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        self._draw_parts(("brow", "lash"))
        gl.disable(moderngl.BLEND)
        self._drawn.depth_mask = True
        gl.enable_direct(_ALPHA_TO_COVERAGE)
        self._draw_parts(("hair",))
        gl.disable_direct(_ALPHA_TO_COVERAGE)
        gl.copy_framebuffer(self._resolved, self._drawn)
        self._graded.use()
        gl.disable(moderngl.DEPTH_TEST)
        self._light.use(0)
        _set(self._grade, {**grading.uniforms(), "picture": 0})
        self._sheet.render(moderngl.TRIANGLES, vertices=3)
        return self._read(self._graded, 3)

    def mask(self, bones: list[NDArray[np.float32]], camera: Camera) -> NDArray[np.uint8]:
        """The classes of a frame's pixels, uint8 (size, size) of ``MaskClass``, as seen at the pixels' centres."""
        gl = self._enter()
        gl.enable(moderngl.DEPTH_TEST)
        gl.disable(moderngl.BLEND)
        self._masked.use()
        self._masked.clear(0, 0, 0, 1, depth=1.0)
        _set(self._mask, {"bones": _columns(bones), "camera": camera.clip_matrix(self.size).T, "picture": 0})
        for part in self.parts:
            if part.visible and "mask" in part.arrays:
                part.picture.use(0)
                whole = -1.0 if part.kind is None else float(part.kind)
                _set(
                    self._mask,
                    {"cut": _CUT.get(part.material, 0.0), "whole": whole, "push": part.push},
                )
                part.arrays["mask"].render(moderngl.TRIANGLES, vertices=part.count)
        return self._read(self._masked, 1)[..., 0]

    def _enter(self) -> Any:
        """Make this renderer's context the current one: another renderer may have been used since."""
        self._gl.__enter__()  # type: ignore[no-untyped-call]
        return self._gl

    def _draw_parts(self, materials: tuple[str, ...]) -> None:
        for part in self.parts:
            if part.visible and part.material in materials:
                program = self._materials[part.material]
                part.picture.use(0)
                if (detail := part.uniforms.get("detail")) is not None:
                    detail.use(1)
                own = {name: value for name, value in part.uniforms.items() if name != "detail"}
                _set(program, {**own, "push": part.push})
                part.arrays["draw"].render(moderngl.TRIANGLES, vertices=part.count)

    def _draw_depth(
        self, target: Any, view: NDArray[np.float32], bones: list[NDArray[np.float32]], parts: list[Part]
    ) -> None:
        self._gl.enable(moderngl.DEPTH_TEST)
        self._gl.disable(moderngl.BLEND)
        target.use()
        target.clear(depth=1.0)
        _set(self._depth, {"bones": _columns(bones), "camera": view.T, "picture": 0, "push": 0.0})
        for part in parts:
            cut = _CUT.get(part.material, 0.0)
            if cut:
                part.picture.use(0)
            _set(self._depth, {"cut": cut})
            part.arrays["depth"].render(moderngl.TRIANGLES, vertices=part.count)

    def _read(self, target: Any, channels: int) -> NDArray[np.uint8]:
        data = np.frombuffer(target.read(components=channels, alignment=1), np.uint8)
        return data.reshape(self.size, self.size, channels)[::-1]


def _columns(bones: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Matrices as the card takes them, column by column."""
    return np.stack([bone.T for bone in bones])


def _set(program: Any, values: Uniforms) -> None:
    """Set uniforms; those that a program does not have are passed over."""
    for name, value in values.items():
        if name not in program:
            continue
        if isinstance(value, int):
            program[name].value = value
        else:
            program[name].write(np.ascontiguousarray(value, np.float32).tobytes())
