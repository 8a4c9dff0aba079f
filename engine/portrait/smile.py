"""A second picture of an avatar's person, for the teeth that the portrait does not show.

Nothing is cut out or fitted here: the picture keeps its own camera and landmarks, and the renderer looks up in it what
lies where in the person's mouth. Only its colours are brought to the portrait's.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar, MouthPicture
from engine.errors import PortraitError
from engine.portrait.build import find_face
from engine.portrait.crop import plan_crop
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import ibug68
from engine.portrait.geometry import fit_head
from engine.portrait.lips import settle_lips
from engine.portrait.photo import load_photo
from engine.renderer.mouth_tones import find_tones
from engine.renderer.own_mouth import best_view, teeth_in
from models.spec import IMAGE_SIZE, MOUTH, OUTER_EYE_CORNERS

MAX_TURN_DEG: Final = 25.0
"""A head turned further shows the teeth of one side alone."""
MARGIN: Final = 0.2
"""Distance in fu about the lips that is kept of the picture."""
GAIN_RANGE: Final = (0.5, 2.0)
"""Limits of how much brighter each colour may become."""


def with_smile(avatar: Avatar, path: Path, tracker: FaceTracker | None = None) -> Avatar:
    """Give an avatar the teeth of a second picture of the same person.

    Args:
        avatar: The avatar.
        path: PNG, JPEG, WebP, GIF or BMP in which the lips are parted and teeth are seen.
        tracker: Face models that are already open; by default they are opened.

    Returns:
        A copy with ``mouth``, whose provenance names the picture.

    Raises:
        PortraitError: The file is no usable picture, or there is no usable face or no teeth in it.
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    photo = load_photo(path)
    try:
        mouth = _measure(photo.rgb, tracker or FaceTracker(static=True))
    except PortraitError as error:
        raise PortraitError(f"The picture of the mouth, {path.name}, cannot be used: {error}") from error
    smiling = replace(avatar, mouth=_in_colours_of(avatar, mouth))
    if not teeth_in(smiling):
        raise PortraitError(
            f"No teeth are seen between the lips in {path.name}; use a picture of the person smiling or speaking."
        )
    provenance = {"mouth_source": path.name, "mouth_source_sha256": photo.sha256}
    return replace(smiling, provenance={**avatar.provenance, **provenance})


def _measure(rgb: NDArray[np.uint8], tracker: FaceTracker) -> MouthPicture:
    face = find_face(rgb, tracker, closed_eyes=True)
    height, width = rgb.shape[:2]
    crop = plan_crop(face, width, height)
    picture = crop.picture(rgb)
    mesh = settle_lips(picture, crop.points(face.mesh))
    head = fit_head(mesh)
    turn = max(abs(head.yaw_deg), abs(head.pitch_deg))
    if turn > MAX_TURN_DEG:
        raise PortraitError(
            f"The face is turned by about {turn:.0f} degrees; the teeth need a picture that looks towards the camera."
        )
    points = np.ascontiguousarray(ibug68(mesh)[:, :2], np.float32)
    return MouthPicture(image=picture, source_points=points, template=head.template, camera=head.camera, mesh=mesh)


def _in_colours_of(avatar: Avatar, mouth: MouthPicture) -> MouthPicture:
    """The mouth alone, as bright and as warm as the portrait's skin says."""
    view = best_view(replace(avatar, mouth=mouth))
    gain = np.clip(find_tones(avatar)["skin"] / np.maximum(find_tones(view.picture)["skin"], 1), *GAIN_RANGE)
    image = np.clip(np.rint(mouth.image * gain), 0, 255).astype(np.uint8)
    eyes = mouth.source_points[list(OUTER_EYE_CORNERS)]
    lips, margin = mouth.source_points[MOUTH], MARGIN * float(np.linalg.norm(eyes[1] - eyes[0]))
    left, top = np.clip(np.floor(lips.min(0) - margin), 0, IMAGE_SIZE).astype(int)
    right, bottom = np.clip(np.ceil(lips.max(0) + margin), 0, IMAGE_SIZE).astype(int)
    kept = np.zeros_like(image)
    kept[top:bottom, left:right] = image[top:bottom, left:right]
    return replace(mouth, image=kept)
