"""A rendered person: identity, look and rig together, posed frame by frame."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.rotation import rotation_matrix
from models.spec import EYE_MIDPOINT, INNER_LIP_PAIRS
from training.corpus.heads import pictures
from training.corpus.heads.base_head import TURNING
from training.corpus.heads.expression import FaceInput, FaceRig
from training.corpus.heads.gl_renderer import TRAITS, Part
from training.corpus.heads.identity import Person, shape_person
from training.corpus.heads.lip_margin import LipMargin
from training.corpus.heads.looks import Look
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.render_mesh import RenderMesh
from training.corpus.heads.studio import Studio, Worn
from training.corpus.heads.teeth_seat import seat_teeth

_EYES: Final = "eyes/high-poly/high-poly.mhclo"
_TONGUE: Final = "tongue/tongue01/tongue01.mhclo"
_TEETH_TEXTURE: Final = "teeth/materials/teeth.mhmat"
_CORNEA_UV: Final = (0.9, 0.2)
"""The cornea's faces have u above the first and v below the second."""
_SKY_DIRECTIONS: Final = 48
_OPEN_JAW: Final = 0.8
"""Weight of ``jawOpen`` at which the second set of ambient light is measured."""
_LUMA: Final = np.array([0.3, 0.59, 0.11])
_NECK_SHARES: Final = (0.25, 0.5, 0.75, 1.0, 0.0)
"""Of the way from the shoulders' pose to the head's: bones of ``TURNING``, then the shoulders."""
_BEHIND_LIPS: Final = 0.03
"""fu that teeth and tongue are moved back in depth: lips that close over them would let them through."""
_BEHIND_LIDS: Final = 0.025
"""fu that the eyes are moved back in depth: the cornea bulges, and eyes that look aside would push it through a lid."""
_SEALED: Final = 0.004
"""fu between the inner lips below which nothing can be seen between them."""
_LIGHT_ENTERS: Final = 0.17
"""fu between the inner lips at which the mouth is as light as it gets."""
_DEEP: Final = 0.16
"""fu behind the upper lip at which the mouth begins to darken."""


@dataclass(frozen=True)
class Posed:
    """One frame's geometry.

    Attributes:
        landmarks: float32 (68, 3) fu, posed, in world face coordinates.
        displacement: float32 (68, 3) fu, against the template, before the pose.
        bones: float32 (4, 4) each, for the renderer.
    """

    landmarks: NDArray[np.float32]
    displacement: NDArray[np.float32]
    bones: list[NDArray[np.float32]]


class Actor:
    """One person in the studio; the next one takes the place."""

    def __init__(self, studio: Studio, person: Person, look: Look) -> None:
        """Shape, dress and place a person; the one before is cleared away.

        Args:
            studio: Where.
            person: Identity.
            look: What they wear.

        Raises:
            ArtefactError: The data is not complete.
        """
        self._studio, self._look = studio, look
        self._gl = studio.renderer
        self._gl.clear()
        base = studio.base
        self._shape = shape_person(base.points, person, studio.targets)
        teeth = studio.worn(look.teeth, "teeth").proxy
        self._neutral = seat_teeth(self._shape, base, teeth, person.teeth_show)
        self.rig = FaceRig(base, self._neutral, person, studio.targets)
        self._margin = LipMargin(base, self.rig.frame.points(base.skin(self._neutral)), self.rig.template)
        self._detail: Any = self._gl.texture(pictures.skin_detail())
        self._moving: list[tuple[Worn, list[Part], str]] = []
        self._scales: dict[str, NDArray[np.float32]] = {}
        self._skin = self._add_skin(person)
        self._add_face()
        self._add_clothes()
        self._jaw = self.rig.shapes.index("jawOpen")
        self._still = FaceInput(
            np.zeros(len(self.rig.shapes), np.float32), np.zeros(3, np.float32), 0.0, np.zeros(3, np.float32)
        )
        self._shade()

    def close(self) -> None:
        """Give the card's memory back."""
        self._gl.clear()
        self._detail.release()

    @property
    def template(self) -> NDArray[np.float32]:
        """The person's landmarks at rest, lips closed, float32 (68, 3) fu."""
        return self._template

    def pose(
        self,
        face: FaceInput,
        gaze: NDArray[np.floating],
        head: NDArray[np.floating],
        torso: NDArray[np.floating],
    ) -> Posed:
        """Bring everything that moves into the form of a frame.

        Args:
            face: Expression.
            gaze: (2,) rad, eyes against the head: yaw to the picture's right, pitch down.
            head: (6,), rotation vector in rad and translation in fu.
            torso: (6,), the same of the shoulders.
        """
        marks = self._marks(self._form(face, gaze))
        turned = marks @ rotation_matrix(head[:3]).astype(np.float32).T + head[3:].astype(np.float32)
        return Posed(turned.astype(np.float32), marks - self._template, neck_bones(head, torso))

    def _marks(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Landmarks (68, 3) fu of base points (V, 3), the inner lips' where the lips end to an onlooker."""
        frame, base = self.rig.frame, self._studio.base
        return self._margin.place(frame.points(base.landmarks(points)), frame.points(base.skin(points)))

    def _form(self, face: FaceInput, gaze: NDArray[np.floating]) -> NDArray[np.float32]:
        points = self.rig.move(face)
        frame, base = self.rig.frame, self._studio.base
        skin = base.skin(points)
        self._place([self._skin], base.surface, skin)
        jaw = float(np.clip(face.weights[self._jaw] / _OPEN_JAW, 0, 1))
        self._skin.uniforms["jaw"] = jaw
        for worn, parts, material in self._moving:
            fitted = worn.proxy.fit(points, self._scales[worn.proxy.name])
            if material == "eye":
                fitted = self._turn_eyes(fitted, gaze)
            self._place(parts, worn.mesh, np.asarray(worn.mesh.matrix @ fitted, np.float32))
        marks = frame.points(base.landmarks(points))
        lip, gap = float(marks[62, 2]), float(lip_gap(marks).max())
        self._skin.uniforms["cavity"] = np.array([lip + _DEEP, 2.6])
        for _, parts, material in self._moving:
            if material in ("teeth", "tongue"):
                parts[0].visible = gap > _SEALED
                parts[0].uniforms["cavity_teeth"] = np.array([lip + _DEEP - 0.05, 5.5, marks[62, 0]])
                parts[0].uniforms["aperture"] = float(np.clip(gap / _LIGHT_ENTERS, 0, 1))
        return points

    def _place(self, parts: list[Part], mesh: RenderMesh, points: NDArray[np.float32]) -> None:
        frame = self.rig.frame
        normals = frame.directions(mesh.normals(points))
        placed = frame.points(points)
        for part in parts:
            self._gl.place(part, placed[mesh.gather], normals[mesh.gather])

    def _add_skin(self, person: Person) -> Part:
        base, look = self._studio.base, self._look
        mesh = base.surface
        shares = np.asarray(mesh.matrix @ base.shares[base.vertices], np.float32)[mesh.gather]
        beard = _beard(self.rig.frame.points(base.skin(self._neutral)), self.rig.template) * look.stubble
        ones = np.ones(len(base.lip), np.float32)
        self._traits = np.stack([ones, base.lip, base.cavity, beard, ones, base.lower_lip], 1)[mesh.gather]
        picture = self._studio.picture(look.skin)
        # Lips of the saturated dark textures are less so: they take less of what mends the skin, or they turn mauve.
        gain = np.array(look.skin_colour) / pictures.skin_mean(picture)
        return self._gl.add(
            "skin",
            mesh.indices,
            mesh.uv,
            shares,
            traits=self._traits,
            kinds=mesh.classes,
            picture=self._gl.texture(pictures.sharpen_skin(picture)),
            uniforms={
                "detail": self._detail,
                "tint": gain,
                "finish": np.array([26.0, look.bump, look.mottling, look.roughness]),
                "lip_tint": np.array(look.lip_tint) * (gain @ _LUMA / gain) ** 0.6,
                "beard": np.array([0.60, 0.58, 0.60]),
            },
        )

    def _add_face(self) -> None:
        """What follows the expression: eyes, teeth, tongue, brows, lashes."""
        look, studio = self._look, self._studio
        eye = self._gl.texture(pictures.mute(studio.picture(look.eye), 0.75))
        self._add_eyes(eye, np.array(look.eye_tint))
        teeth = self._gl.texture(pictures.bleed(studio.picture(_TEETH_TEXTURE)))
        self._add_worn(
            look.teeth, "teeth", MaskClass.TEETH, teeth, {"tint": np.array(look.teeth_tint)}, push=_BEHIND_LIPS
        )
        tongue = self._gl.texture(studio.picture(studio.worn_material(_TONGUE)))
        tone = {"tint": np.array([0.75, 0.52, 0.50])}
        self._add_worn(_TONGUE, "tongue", MaskClass.TONGUE, tongue, tone, push=_BEHIND_LIPS)
        brown = np.minimum(np.array(look.hair_tint) * 0.55, 0.05)
        if look.brow:
            picture = self._gl.texture(pictures.bleed(studio.picture(studio.worn_material(look.brow))))
            finish = {"tint": brown, "finish": np.array([look.brow_density, 1, 0, 0])}
            self._add_worn(look.brow, "brow", MaskClass.BROW, picture, finish, shadows=False)
        if look.lash:
            picture = self._gl.texture(pictures.bleed(studio.picture(studio.worn_material(look.lash))))
            finish = {"tint": np.array([0.012, 0.009, 0.008]), "finish": np.array([look.lash_density, 0, 0, 0])}
            self._add_worn(look.lash, "lash", None, picture, finish, shadows=False)

    def _add_eyes(self, picture: Any, tint: NDArray[np.float64]) -> None:
        worn = self._studio.worn(_EYES, "eye")
        mesh = worn.mesh
        cornea = ((mesh.uv[:, 0] > _CORNEA_UV[0]) & (mesh.uv[:, 1] < _CORNEA_UV[1]))[mesh.indices].all(1)
        shares = worn.proxy.carry(self._studio.base.shares)[mesh.gather]
        self._scales[worn.proxy.name] = worn.proxy.scale(self._shape)
        fitted = worn.proxy.fit(self._neutral, self._scales[worn.proxy.name])
        self._eyeballs = _eyeballs(fitted)
        centres = self.rig.frame.points(np.stack([centre for _, centre, _ in self._eyeballs]))
        radius = self._eyeballs[0][2] * self.rig.frame.scale
        ball = self._gl.add(
            "eye",
            mesh.indices[~cornea],
            mesh.uv,
            shares,
            kind=MaskClass.EYE,
            picture=picture,
            shadows=False,
            push=_BEHIND_LIDS,
            uniforms={"tint": tint, "eyeball": centres, "eye_radius": radius},
        )
        parts = [ball]
        if cornea.any():
            glass = mesh.indices[cornea]
            parts.append(self._gl.add("cornea", glass, mesh.uv, shares, shadows=False, push=_BEHIND_LIDS))
        self._moving.append((worn, parts, "eye"))

    def _turn_eyes(self, points: NDArray[np.float32], gaze: NDArray[np.floating]) -> NDArray[np.float32]:
        yaw, pitch = float(gaze[0]), float(gaze[1])
        turn = rotation_matrix(np.array([0, yaw, 0])) @ rotation_matrix(np.array([pitch, 0, 0]))
        for mine, centre, _ in self._eyeballs:
            points[mine] = (points[mine] - centre) @ turn.astype(np.float32).T + centre
        return points

    def _add_worn(
        self,
        name: str,
        material: str,
        kind: MaskClass | None,
        picture: Any,
        uniforms: dict[str, Any],
        *,
        shadows: bool = True,
        push: float = 0.0,
    ) -> None:
        worn = self._studio.worn(name, material)
        mesh = worn.mesh
        shares = np.asarray(mesh.matrix @ worn.proxy.carry(self._studio.base.shares), np.float32)[mesh.gather]
        self._scales[worn.proxy.name] = worn.proxy.scale(self._shape)
        part = self._gl.add(
            material,
            mesh.indices,
            mesh.uv,
            shares,
            kind=kind,
            picture=picture,
            uniforms=uniforms,
            shadows=shadows,
            push=push,
        )
        self._moving.append((worn, [part], material))

    def _add_clothes(self) -> None:
        """What follows the head and shoulders alone: placed once."""
        look, studio = self._look, self._studio
        self._fixed: list[tuple[RenderMesh, Part, NDArray[np.float32]]] = []
        hidden = np.zeros(len(studio.base.points), bool)
        if look.cloth:
            picture = pictures.mute(studio.picture(studio.worn_material(look.cloth)), look.cloth_kept)
            tint = {"tint": np.array(look.cloth_tint), "finish": np.array([40.0, 0, 0, 0]), "detail": self._detail}
            self._add_fixed(look.cloth, "cloth", MaskClass.CLOTH, picture, tint)
            hidden = studio.worn(look.cloth, "cloth").proxy.hidden
        if look.hair:
            picture = studio.picture(studio.worn_material(look.hair))
            level, spread = _hair_level(picture)
            finish = np.array([look.hair_sheen, level, 0.2 / spread, 0])
            tint = {"tint": np.array(look.hair_tint), "finish": finish}
            self._add_fixed(look.hair, "hair", MaskClass.HAIR, pictures.bleed(picture), tint)
        covered: NDArray[np.bool_] = np.all(hidden[studio.base.quads], axis=1)[studio.base.face_quads]
        self._gl.show(self._skin, studio.base.surface.indices[~covered])

    def _add_fixed(
        self, name: str, material: str, kind: MaskClass, picture: pictures.Picture, uniforms: dict[str, Any]
    ) -> None:
        worn = self._studio.worn(name, material)
        mesh, proxy = worn.mesh, worn.proxy
        fitted = proxy.fit(self._neutral, proxy.scale(self._shape))
        points = np.asarray(mesh.matrix @ fitted, np.float32)
        near = (points[:, 1] > 2.2) & (np.abs(points[:, 0]) < 3.2)
        indices = mesh.indices[near[mesh.triangles].all(1)]
        if not len(indices):
            return
        shares = np.asarray(mesh.matrix @ proxy.carry(self._studio.base.shares), np.float32)[mesh.gather]
        texture = self._gl.texture(picture)
        part = self._gl.add(material, indices, mesh.uv, shares, kind=kind, picture=texture, uniforms=uniforms)
        self._place([part], mesh, points)
        self._fixed.append((mesh, part, points))

    def _shade(self) -> None:
        """Measure how open everything is to the sky, with the mouth open and then closed."""
        base, frame = self._studio.base, self.rig.frame
        mesh = base.surface
        weights = self._still.weights.copy()
        weights[self._jaw] = _OPEN_JAW
        opened = replace(self._still, weights=weights, gap=np.full(3, np.nan, np.float32))
        for column, face, directions in ((4, opened, sky_directions()[::2]), (0, self._still, sky_directions())):
            skin = base.skin(self._form(face, np.zeros(2)))
            surfaces = [(frame.points(skin), frame.directions(mesh.normals(skin)))]
            if column == 0:
                surfaces += [(frame.points(p), frame.directions(m.normals(p))) for m, _, p in self._fixed]
            shares = self._gl.occlusion(surfaces, directions, ("eye", "cornea", "lash", "brow", "tongue"))
            self._traits[:, column] = shares[0][mesh.gather]
            for (fixed, part, _), share in zip(self._fixed, shares[1:], strict=False):
                traits = np.zeros((len(fixed.gather), TRAITS), np.float32)
                traits[:, 0] = traits[:, 4] = share[fixed.gather]
                self._gl.colour(part, traits)
        self._gl.colour(self._skin, self._traits)
        self._template = self._marks(self.rig.move(self._still))


def lip_gap(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Opening of the inner lips at their three pairs, (3,), of unposed landmarks (68, 3)."""
    upper, lower = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    return landmarks[lower, 1] - landmarks[upper, 1]


def neck_bones(head: NDArray[np.floating], torso: NDArray[np.floating]) -> list[NDArray[np.float32]]:
    """Matrices float32 (4, 4) of the bones of ``TURNING`` and the shoulders, from two poses (6,)."""
    assert len(_NECK_SHARES) == len(TURNING) + 1
    bones = []
    for share in _NECK_SHARES:
        pose = torso + share * (head - torso)
        bone = np.eye(4, dtype=np.float32)
        bone[:3, :3] = rotation_matrix(pose[:3])
        bone[:3, 3] = pose[3:]
        bones.append(bone)
    return bones


@lru_cache(maxsize=1)
def sky_directions() -> NDArray[np.float32]:
    """Directions evenly over the sphere, float32 (48, 3)."""
    step = np.arange(_SKY_DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * step / _SKY_DIRECTIONS), np.pi * (1 + 5**0.5) * step
    ring = np.sin(polar)
    return np.stack([np.cos(turn) * ring, np.cos(polar), np.sin(turn) * ring], 1).astype(np.float32)


def _eyeballs(points: NDArray[np.float32]) -> list[tuple[NDArray[np.bool_], NDArray[np.float32], float]]:
    """For the left and the right eye: its vertices, its centre (3,) and its radius, in decimetres."""
    balls = []
    for mine in (points[:, 0] > 0, points[:, 0] <= 0):
        low, high = points[mine].min(0), points[mine].max(0)
        radius = float(high[0] - low[0]) / 2
        centre = (low + high) / 2
        # In front the cornea bulges out of the ball.
        centre[2] = low[2] + radius
        balls.append((mine, centre.astype(np.float32), radius))
    return balls


def _hair_level(picture: pictures.Picture) -> tuple[float, float]:
    """Mean and deviation of the linear brightness of a hair texture where it is dense."""
    level = (picture[..., :3].astype(np.float32) / 255) ** 2.2 @ np.array([0.3, 0.59, 0.11], np.float32)
    dense = level[picture[..., 3] > 128]
    return (float(dense.mean()), float(dense.std()) + 1e-3) if dense.size else (0.2, 0.1)


def _beard(points: NDArray[np.float32], marks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where a beard grows, float32 (n,) 0..1, from points in fu and the neutral landmarks."""
    nose, mouth, chin = float(marks[33, 1]), float((marks[48, 1] + marks[54, 1]) / 2), float(marks[8, 1])
    half = float(marks[54, 0] - marks[48, 0]) / 2
    beside = np.clip((np.abs(points[:, 0] - marks[33, 0]) - 1.05 * half) / (0.5 * half), 0, 1)
    top = (nose + 0.05) * (1 - beside) + (mouth - 0.05) * beside
    grows = _rise((points[:, 1] - top) / 0.22) * _rise((chin + 0.30 - points[:, 1]) / 0.25)
    front = _rise((EYE_MIDPOINT[2] + 1.05 - points[:, 2]) / 0.2)
    return np.asarray(grows * front, np.float32)


def _rise(value: NDArray[np.floating]) -> NDArray[np.floating]:
    share = np.clip(value, 0, 1)
    risen: NDArray[np.floating] = share * share * (3 - 2 * share)
    return risen
