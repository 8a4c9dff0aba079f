"""The matte: which pixels of the crop belong to the person."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.portrait.face_models import open_model
from engine.portrait.matting import solve_alpha

HAIR_BAND_PX: Final = 9
"""Half the width of the band in which alpha is solved for, above the chin."""
BODY_BAND_PX: Final = 4
"""The same at neck and shoulders, whose outlines are firm."""

_FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
_SURE_PX = 22


class PersonSegmenter:
    """The selfie segmentation network: person against background, soft but coarse."""

    def __init__(self, threads: int = 1) -> None:
        """Open the model.

        Raises:
            MissingExtraError: The face models are not there and cannot be fetched.
        """
        self._session = open_model("selfie_segmentation", threads)
        self._input = self._session.get_inputs()[0].name

    def segment(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of "person", float32 (H, W), of a picture uint8 (H, W, 3).

        The mean over the picture and its mirror image, which cancels much of what the network imagines.
        """
        height, width = rgb.shape[:2]
        small = cv2.resize(rgb, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        total = np.zeros((256, 256), np.float32)
        for flip in (slice(None), slice(None, None, -1)):
            x = np.ascontiguousarray(small[:, flip][None])
            total += self._session.run(None, {self._input: x})[0][0, :, :, 0][:, flip]
        mean = np.clip(total / 2, 0, 1)
        return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_CUBIC), np.float32).clip(0, 1)


def make_matte(rgb: NDArray[np.uint8], mesh: NDArray[np.float32], person: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Refine a coarse segmentation to a soft matte.

    The segmentation is cleaned (one piece with the face, no holes), its outline is drawn to the picture's own edges
    by graph cuts, and in a band about it alpha is solved for.

    Args:
        rgb: uint8 (H, W, 3).
        mesh: float32 (478, 3) px, the face, which is surely inside.
        person: float32 (H, W), 0..1, the segmentation.

    Returns:
        uint8 (H, W).
    """
    face = np.zeros(person.shape, np.uint8)
    cv2.fillPoly(face, [np.round(mesh[list(_FACE_OVAL), :2]).astype(np.int32)], 1)
    coarse = one_piece((person > 0.5) | (face > 0), face)
    outline = _snap(rgb, person, coarse, face)
    firm = one_piece(cv2.medianBlur(outline.astype(np.uint8), 5) > 0, face)
    chin = float(mesh[152, 1])
    inside, outside = _bands(firm, chin)
    inside |= face > 0
    guess = np.asarray(cv2.GaussianBlur(firm.astype(np.float32), (0, 0), 2.0), np.float32)
    alpha = solve_alpha(rgb, inside, outside & ~inside, guess)
    return tidy(np.round(alpha * 255).astype(np.uint8), face)


def tidy(matte: NDArray[np.uint8], face: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Stretch away the faint veil that any alpha estimate leaves, and drop specks that hang on nothing.

    Args:
        matte: uint8 (H, W).
        face: uint8 (H, W), not 0 where the piece to keep is; by default the largest piece is kept.
    """
    stretched = np.clip((matte.astype(np.float32) - 10) * (255 / 235), 0, 255)
    body = one_piece(stretched > 24, face)
    near = cv2.dilate(body.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(near, np.round(stretched), 0).astype(np.uint8)


def one_piece(mask: NDArray[np.bool_], face: NDArray[np.uint8] | None = None) -> NDArray[np.bool_]:
    """The connected piece of a mask that holds the face (or the largest one), its holes filled.

    A gap between hair and shoulder that is open to nowhere counts as a hole only when it is small: under 0.4 % of
    the picture.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    if face is not None and face.any():
        votes = np.bincount(labels[face > 0], minlength=count)
        votes[0] = 0
        keep = int(votes.argmax())
    else:
        keep = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    piece = labels == keep
    holes, hole_labels, hole_stats, _ = cv2.connectedComponentsWithStats((~piece).astype(np.uint8), connectivity=4)
    height, width = mask.shape
    for i in range(1, holes):
        x, y, w, h, area = hole_stats[i]
        at_edge = x == 0 or y == 0 or x + w == width or y + h == height
        if not at_edge and area < 0.004 * mask.size:
            piece |= hole_labels == i
    return np.asarray(piece, np.bool_)


def _snap(
    rgb: NDArray[np.uint8], person: NDArray[np.float32], coarse: NDArray[np.bool_], face: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Draw the outline to the picture's edges with GrabCut, within a band about the coarse one."""
    mask = coarse.astype(np.uint8)
    within = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    labels = np.where(coarse, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    # Inside, where the segmentation is in doubt the colours decide, however far from the outline; outside they may
    # not, for a background often has the colours of clothes.
    sure = (within > _SURE_PX) & (person > 0.75)
    labels[sure | ((person > 0.97) & (within > _SURE_PX / 2)) | (face > 0)] = cv2.GC_FGD
    labels[(beyond > _SURE_PX) | ((person < 0.03) & (beyond > _SURE_PX / 2))] = cv2.GC_BGD
    if not (labels == cv2.GC_BGD).any():
        return coarse
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    # GrabCut draws its clusters from OpenCV's own generator: seeded, a portrait gives the same avatar twice.
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    cv2.grabCut(bgr, labels, (0, 0, 1, 1), background, foreground, 4, cv2.GC_INIT_WITH_MASK)
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _bands(firm: NDArray[np.bool_], chin_y: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Surely inside and surely outside: all but a band about the outline, wider where there may be hair."""
    mask = firm.astype(np.uint8)
    within = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    rows = np.arange(mask.shape[0], dtype=np.float32)
    share = np.clip((rows - chin_y) / 40, 0, 1)
    band = (HAIR_BAND_PX * (1 - share) + BODY_BAND_PX * share)[:, None]
    return within > band, beyond > band
