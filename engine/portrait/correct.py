"""Points that a person has corrected by hand: all of the avatar that rests on them, made anew.

::

    68 points -> dense mesh (follows them) -> irises
                                           -> depth, camera, template at rest (``fit_head``)

Picture, matte and plate stay: they come from the picture's colours. Lips lie where they were put;
``settle_lips``, which doubts what a network measured, is not asked.
"""

import dataclasses
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import PortraitError
from engine.portrait.build import CLOSED_EYES, MIN_FACE_PX, irises_of
from engine.portrait.face_mesh import IBUG_INDEX, LEFT_IRIS, RIGHT_IRIS
from engine.portrait.geometry import canonical68, eye_opening, fit_head
from engine.renderer.lids import LEFT_LANDMARKS, LEFT_LOWER, LEFT_UPPER, RIGHT_LANDMARKS, RIGHT_LOWER, RIGHT_UPPER
from engine.renderer.lip_line import LOWER_INNER, UPPER_INNER
from models.spec import IMAGE_SIZE, LANDMARKS, OUTER_EYE_CORNERS

FARTHEST: Final = 0.4
"""How far a point may lie from where a head seen from anywhere has it, over the distance of the outer eye corners; of
photographs, paintings and drawings that were measured it is 0.13 at most."""
_CROSSED: Final = 0.03
"""How far one lip or lid may lie beyond the other, likewise: a hand is not steadier."""
_SMALLEST_IRIS: Final = 0.01
_LARGEST_IRIS: Final = 0.3
"""Likewise; those of people have 0.065."""
_UPPER_AND_LOWER: Final = ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65), (51, 57))
_LIDS: Final = (RIGHT_UPPER, RIGHT_LOWER, LEFT_UPPER, LEFT_LOWER)
_LIPS: Final = (UPPER_INNER, LOWER_INNER)
_SMALLEST_PIECE: Final = 0.002


def correct_points(
    avatar: Avatar, points: NDArray[np.floating[Any]], irises: NDArray[np.floating[Any]] | None = None
) -> Avatar:
    """Put the 68 points of an avatar elsewhere.

    Args:
        avatar: As it is; left alone.
        points: (68, 2) px in its picture, all of them.
        irises: (2, 3) px, centre and radius of the right and the left one; by default they go with their eyes.

    Returns:
        The avatar whose ``source_points`` are these, with mesh, irises, camera and template that go with them.

    Raises:
        PortraitError: They are no face's, or no face's that can be moved; the message says which point, or why.
    """
    given = np.asarray(points, np.float64)
    if given.shape != (LANDMARKS, 2) or not np.isfinite(given).all():
        raise PortraitError(f"A face has {LANDMARKS} points of two numbers each.")
    _check(given, avatar.matte)
    wanted = given.astype(np.float32)
    mesh = _follow(avatar.mesh, avatar.source_points, wanted)
    if irises is not None:
        _put_irises(mesh, wanted, np.asarray(irises, np.float64))
    head = fit_head(mesh)
    return dataclasses.replace(
        avatar,
        source_points=wanted,
        mesh=mesh,
        irises=irises_of(mesh),
        template=head.template,
        camera=head.camera,
        provenance={**avatar.provenance, "points": "corrected by hand"},
    )


def matte_outline(avatar: Avatar) -> list[NDArray[np.float32]]:
    """The line at which the matte is half opaque: closed polylines, each float32 (n, 2) px; specks are left out."""
    pieces, _ = cv2.findContours((avatar.matte >= 128).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    large = [piece for piece in pieces if cv2.contourArea(piece) > _SMALLEST_PIECE * avatar.matte.size]
    return [np.asarray(cv2.approxPolyDP(piece, 0.8, True)[:, 0], np.float32) for piece in large]


def _check(points: NDArray[np.float64], matte: NDArray[np.uint8]) -> None:
    """Refuse what is no face; points are counted from 1, as in iBUG's own figure and on the page."""
    outside = ((points < 0) | (points > IMAGE_SIZE - 1)).any(1)
    if outside.any():
        raise PortraitError(f"Point {1 + int(outside.argmax())} lies outside of the picture.")
    right, left = (points[i] for i in OUTER_EYE_CORNERS)
    unit = float(np.linalg.norm(left - right))
    extent = float(np.linalg.norm((points[19] + points[24]) / 2 - points[8]))
    if extent < MIN_FACE_PX or unit < MIN_FACE_PX / 4:
        raise PortraitError(f"The face is only {extent:.0f} pixels high from brow to chin: at least {MIN_FACE_PX}.")
    head = np.column_stack([canonical68().astype(np.float64), np.ones(LANDMARKS)])
    away = np.linalg.norm(head @ np.linalg.lstsq(head, points, rcond=None)[0] - points, axis=1) / unit
    if away.max() > FARTHEST:
        raise PortraitError(f"Point {1 + int(away.argmax())} lies far from where a face has it: put it back.")
    down = np.array([right[1] - left[1], left[0] - right[0]]) / unit
    for upper, lower in _UPPER_AND_LOWER:
        if (points[lower] - points[upper]) @ down < -_CROSSED * unit:
            raise PortraitError(f"Point {1 + upper} belongs above point {1 + lower}: lids and lips may not cross.")
    if eye_opening(points) < CLOSED_EYES:
        raise PortraitError("The eyes are closed: put the upper lids above the lower ones.")
    inner = np.round(points[17:]).astype(int)
    if matte[inner[:, 1], inner[:, 0]].mean() < 128:
        raise PortraitError("The points lie beside the person: put them on the face.")


def _follow(mesh: NDArray[np.float32], before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mesh (478, 3) moved with 68 of its points.

    All of it goes with a similarity. Of what is left, the edges of lids and inner lips take what their own points have;
    everything else a mean of what is near, so nothing moves further than what was dragged; an iris goes with its eye.
    """
    linear, shift = _similarity(before.astype(np.float64), after.astype(np.float64))
    rest = after - (before @ linear.T + shift)
    known = dict(zip(IBUG_INDEX.tolist(), rest, strict=True))
    for line in (*_LIDS, *_LIPS):
        known.update(_along(mesh[list(line), :2].astype(np.float64), line, known, smooth=line in _LIDS))
    anchors = list(known)
    distance = np.linalg.norm(mesh[:, None, :2] - mesh[anchors][None, :, :2], axis=-1)
    weights = 1 / np.maximum(distance, 1e-3).astype(np.float64) ** 4
    left = (weights @ np.array(list(known.values()))) / weights.sum(1, keepdims=True)
    left[anchors] = list(known.values())
    moved = mesh[:, :2] @ linear.T + shift + left
    for iris, eye in ((RIGHT_IRIS, RIGHT_LANDMARKS), (LEFT_IRIS, LEFT_LANDMARKS)):
        lids = np.column_stack([before[eye], np.ones(6)]).astype(np.float64)
        carried = np.linalg.lstsq(lids, after[eye].astype(np.float64), rcond=None)[0]
        moved[iris] = np.column_stack([mesh[iris, :2], np.ones(5)]) @ carried
    moved[IBUG_INDEX] = after
    scale = float(np.sqrt(np.linalg.det(linear)))
    return np.column_stack([moved, mesh[:, 2] * scale]).astype(np.float32)


def _along(
    places: NDArray[np.float64], line: tuple[int, ...], known: dict[int, NDArray[np.float64]], *, smooth: bool
) -> dict[int, NDArray[np.float64]]:
    """What is between the known points of a line from corner to corner: an arc through a lid's four, else straight."""
    across = places[-1] - places[0]
    share = (places - places[0]) @ across / max(float(across @ across), 1e-9)
    held = [i for i, vertex in enumerate(line) if vertex in known]
    values = np.array([known[line[i]] for i in held])
    if smooth and len(set(share[held])) == len(held) == 4:
        found = np.vander(share, 4) @ np.linalg.solve(np.vander(share[held], 4), values)
    else:
        found = np.column_stack([np.interp(share, share[held], values[:, axis]) for axis in (0, 1)])
    return {vertex: found[i] for i, vertex in enumerate(line) if i not in held}


def _similarity(
    before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The turn with scale (2, 2) and the shift (2,) that bring most of ``before`` (n, 2) upon ``after``."""
    a, b = before - before.mean(0), after - after.mean(0)
    energy = float(np.square(a).sum())
    cosine, sine = float((a * b).sum()) / energy, float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / energy
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return linear, after.mean(0) - linear @ before.mean(0)


def _put_irises(mesh: NDArray[np.float32], points: NDArray[np.float32], irises: NDArray[np.float64]) -> None:
    """Put the mesh's irises where they are wanted, or refuse."""
    if irises.shape != (2, 3) or not np.isfinite(irises).all():
        raise PortraitError("An iris is a centre and a radius: three numbers each for two eyes.")
    unit = float(np.linalg.norm(np.subtract(*points[list(OUTER_EYE_CORNERS)])))
    for name, part, eye, iris in zip(
        ("right", "left"), (RIGHT_IRIS, LEFT_IRIS), (RIGHT_LANDMARKS, LEFT_LANDMARKS), irises, strict=True
    ):
        centre, radius = iris[:2], float(iris[2])
        within = cv2.pointPolygonTest(points[eye].reshape(-1, 1, 2), centre.clip(-1e6, 1e6).tolist(), True)
        if within < -_CROSSED * unit:
            raise PortraitError(f"The {name} iris lies beside its eye: put it between the lids.")
        if not _SMALLEST_IRIS * unit < radius < _LARGEST_IRIS * unit:
            raise PortraitError(f"The {name} iris is {radius:.0f} pixels in radius, which is none of this face.")
        mesh[part, :2] = centre
        mesh[part, :2][1:] += radius * np.array([(1, 0), (0, -1), (-1, 0), (0, 1)])
