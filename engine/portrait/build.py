"""One photo becomes an avatar: face, crop, matte, plate, camera and template.

This package works on pixels throughout, so OpenCV is used in most of its files, and only its files, the codecs
(``engine.images``) and the renderer use it.
"""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import PortraitError
from engine.portrait.crop import Crop, plan_crop
from engine.portrait.face_landmarks import Face, FaceTracker
from engine.portrait.face_mesh import LEFT_IRIS, RIGHT_IRIS, ibug68
from engine.portrait.geometry import eye_opening, fit_head
from engine.portrait.inpaint import fill
from engine.portrait.lips import settle_lips
from engine.portrait.matte import PersonSegmenter, make_matte, tidy
from engine.portrait.matting import foreground_colours
from engine.portrait.photo import load_photo

MIN_FACE_PX: Final = 64
"""Brow to chin in the photo; the crop shows it at 177 px, so less would be a blur."""
RIVAL_SHARE: Final = 0.6
"""A second face of at least this share of the largest one's size makes it unclear who is meant."""
MAX_ROLL_DEG: Final = 50.0
"""A head tilted less is put upright; more is a picture that lies on its side."""
CLOSED_EYES: Final = 0.09
"""Eyes opened less than this (height over width) are taken for closed."""
PLATE_MARGIN_PX: Final = 9
"""How far beyond the matte the picture may still show the person: a veil, a shadow, blur."""
COLOUR_MARGIN_PX: Final = 6
"""How far beyond the matte ``image`` continues the person's colours; then it is the photo again."""

_LYING = "The face lies on its side or upside down; turn the picture upright and save it again."


def build_avatar(
    rgb: NDArray[np.uint8],
    *,
    alpha: NDArray[np.uint8] | None = None,
    name: str,
    provenance: dict[str, str],
    tracker: FaceTracker | None = None,
    segmenter: PersonSegmenter | None = None,
) -> Avatar:
    """Make an avatar of the person in a picture.

    Args:
        rgb: uint8 (H, W, 3), a photo or painting, upright, with its background.
        alpha: uint8 (H, W), where the person is, if that is known.
        name: What the avatar is called.
        provenance: Where the picture came from and who may use it.
        tracker: Face models that are already open; by default they are opened.
        segmenter: Likewise, of use where ``alpha`` is None.

    Returns:
        The avatar. ``image`` composited by ``matte`` over ``plate`` gives the crop again but for a narrow rim about
        the person; in that rim and where the matte is soft, ``image`` holds the person's own colours, freed of the
        background, so a head that moves leaves no halo.

    Raises:
        PortraitError: There is no face, more than one, or one that cannot be used; the message says why.
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    face = find_face(rgb, tracker or FaceTracker(static=True))
    height, width = rgb.shape[:2]
    crop = plan_crop(face, width, height)
    covered = crop.covered(width, height)
    picture = fill(crop.picture(rgb), covered)
    mesh = settle_lips(picture, crop.points(face.mesh))
    head = fit_head(mesh)
    if alpha is None:
        person = (segmenter or PersonSegmenter()).segment(picture)
        matte = _beyond_photo(make_matte(picture, mesh, person), covered)
    else:
        matte = _given_matte(alpha, crop, covered, mesh)
    plate = _plate(picture, matte, covered)
    points = ibug68(mesh)[:, :2]
    return Avatar(
        name=name,
        image=_own_colours(picture, matte, plate),
        matte=matte,
        plate=plate,
        source_points=np.ascontiguousarray(points, np.float32),
        template=head.template,
        camera=head.camera,
        irises=irises_of(mesh),
        mesh=mesh,
        provenance=provenance,
    )


def avatar_from_photo(
    path: Path,
    *,
    name: str | None = None,
    cutout: Path | None = None,
    rights: str = "as for the source picture",
) -> Avatar:
    """Make an avatar of a picture file.

    Args:
        path: PNG, JPEG, WebP, GIF or BMP; a transparent one brings its own matte.
        name: What the avatar is called; by default the file's name without its suffix.
        cutout: The same picture with a transparent background, whose transparency becomes the matte.
        rights: Who may use the picture, for the provenance.

    Raises:
        PortraitError: A file is no usable picture, or there is no usable face in it.
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    photo = load_photo(path)
    alpha = photo.alpha
    if cutout is not None:
        alpha = load_photo(cutout).alpha
        if alpha is None or alpha.shape != photo.rgb.shape[:2]:
            raise PortraitError(f"{cutout} must be {path.name} in the same size with a transparent background.")
    provenance = {
        "source": path.name,
        "source_sha256": photo.sha256,
        "rights": rights,
    }
    return build_avatar(photo.rgb, alpha=alpha, name=name or path.stem, provenance=provenance)


def find_face(rgb: NDArray[np.uint8], tracker: FaceTracker, *, closed_eyes: bool = False) -> Face:
    """Find the one face that an avatar is to be made of.

    Args:
        rgb: uint8 (H, W, 3).
        tracker: Opened face models.
        closed_eyes: They may be closed.

    Raises:
        PortraitError: None, several, too small, lying on its side, or with closed eyes.
    """
    faces = tracker.detect_all(rgb)
    if not faces:
        for turns in (1, 3, 2):
            if tracker.detect_all(np.ascontiguousarray(np.rot90(rgb, turns))):
                raise PortraitError(_LYING)
        raise PortraitError(
            "No face was found in the picture; use one where the face is well lit, whole and looks at the camera."
        )
    face = faces[0]
    rivals = sum(other.size >= RIVAL_SHARE * face.size for other in faces)
    if rivals > 1:
        raise PortraitError(
            f"{rivals} faces of similar size are in the picture; cut it so that only one person is left."
        )
    points = face.points68
    across = points[45] - points[36]
    if abs(np.degrees(np.arctan2(across[1], across[0]))) > MAX_ROLL_DEG:
        raise PortraitError(_LYING)
    extent = float(np.linalg.norm((points[19] + points[24]) / 2 - points[8]))
    if extent < MIN_FACE_PX:
        raise PortraitError(
            f"The face is only {extent:.0f} pixels high from brow to chin; at least {MIN_FACE_PX} are needed, and "
            "170 or more look best."
        )
    if not closed_eyes and eye_opening(points) < CLOSED_EYES:
        raise PortraitError("The eyes are closed; use a picture with open eyes.")
    return face


def _given_matte(
    alpha: NDArray[np.uint8], crop: Crop, covered: NDArray[np.bool_], mesh: NDArray[np.float32]
) -> NDArray[np.uint8]:
    matte = _beyond_photo(crop.picture(alpha), covered)
    inside = np.round(ibug68(mesh)[17:, :2]).astype(int).clip(0, matte.shape[0] - 1)
    if matte[inside[:, 1], inside[:, 0]].mean() < 128:
        raise PortraitError("The picture's transparency cuts the face away; mend it, or hand in an opaque picture.")
    return tidy(matte)


def _beyond_photo(matte: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Continue the matte beyond the photo's edge as it is at the nearest pixel of it."""
    if covered.all():
        return matte
    _, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value = np.zeros(int(labels.max()) + 1, np.uint8)
    value[labels[covered]] = matte[covered]
    return np.where(covered, matte, value[labels])


def _plate(picture: NDArray[np.uint8], matte: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The background, painted on behind the person from a little outside of the matte."""
    for margin in (PLATE_MARGIN_PX, 3, 0):
        known = covered & ~_grown(matte > 4, margin)
        if known.mean() > 0.01:
            return fill(picture, known)
    # The person fills the frame: the plate is hardly ever seen, and takes the tones of the frame's edges.
    edges = np.ones(matte.shape, np.bool_)
    edges[8:-8, 8:-8] = False
    blurred = cv2.GaussianBlur(picture, (0, 0), 20).astype(np.uint8, copy=False)
    return fill(blurred, edges)


def _own_colours(picture: NDArray[np.uint8], matte: NDArray[np.uint8], plate: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with the background taken out of the person's soft edges and a rim about them."""
    colours = foreground_colours(picture, matte.astype(np.float32) / np.float32(255), plate)
    outside = cv2.distanceTransform((matte == 0).astype(np.uint8), cv2.DIST_L2, 5)
    near = np.clip(2 - 2 * outside / COLOUR_MARGIN_PX, 0, 1)[..., None].astype(np.float32)
    mixed: NDArray[np.float32] = colours * near + picture * (1 - near)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _grown(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance <= margin, np.bool_)


def irises_of(mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre and radius in px of the right and the left iris, float32 (2, 3), from a mesh (478, 3)."""
    irises: list[list[Any]] = []
    for part in (RIGHT_IRIS, LEFT_IRIS):
        centre, edge = mesh[part][0, :2], mesh[part][1:, :2]
        irises.append([*centre, np.linalg.norm(edge - centre, axis=1).mean()])
    return np.array(irises, np.float32)
