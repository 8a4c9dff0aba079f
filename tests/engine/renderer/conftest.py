"""A small person drawn with OpenCV whose template, camera, mesh and picture agree."""

import cv2
import numpy as np
import pytest

from engine.artefacts.avatar import Avatar
from engine.renderer.geometry import FACE_OVAL, MESH_OF_68
from engine.renderer.lids import LEFT_LOWER, LEFT_UPPER, RIGHT_LOWER, RIGHT_UPPER
from engine.renderer.lip_line import LOWER_INNER, UPPER_INNER
from engine.renderer.warp import WarpRenderer
from engine.rotation import rotation_matrix

UNIT = 120.0
SKIN, LIP, IRIS, WHITE, HAIR = (210, 165, 135), (190, 70, 70), (20, 150, 40), (235, 232, 225), (60, 40, 30)


def depth(x, y):
    return -0.95 - 0.3 * np.exp(-(x**2 + (y + 0.1) ** 2) / 0.15) + 0.55 * x**2


def curve(left, right, height, count):
    t = np.linspace(0, 1, count)
    points = left + (right - left) * t[:, None]
    points[:, 1] += height * np.sin(np.pi * t) ** 0.8
    return points


def face_plan(gap):
    """Landmarks (68, 2) fu on the face plane, with lips ``gap`` apart."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.68 * np.cos(angle), -0.5 + 1.15 * np.sin(angle)], -1)
    brows = [curve(np.array([s - 0.2, -0.78]), np.array([s + 0.2, -0.78]), -0.06, 5) for s in (-0.32, 0.32)]
    bridge = np.stack([np.zeros(4), np.linspace(-0.5, -0.1, 4)], -1)
    base = np.stack([np.linspace(-0.14, 0.14, 5), np.full(5, -0.02)], -1)
    eyes = []
    for side in (-0.34, 0.34):
        left, right = np.array([side - 0.16, -0.55]), np.array([side + 0.16, -0.55])
        top, bottom = curve(left, right, -0.075, 4), curve(left, right, 0.065, 4)
        eyes.append(np.concatenate([top, bottom[2:0:-1]]))
    corner_l, corner_r = np.array([-0.27, 0.24]), np.array([0.27, 0.24])
    outer = np.concatenate(
        [curve(corner_l, corner_r, -0.10 - gap / 2, 7), curve(corner_l, corner_r, 0.13 + gap / 2, 7)[5:0:-1]]
    )
    in_l, in_r = np.array([-0.24, 0.24]), np.array([0.24, 0.24])
    inner = np.concatenate([curve(in_l, in_r, -gap / 2, 5), curve(in_l, in_r, gap / 2, 5)[3:0:-1]])
    return np.concatenate([jaw, *brows, bridge, base, *eyes, outer, inner])


def draw_person(gap=0.0, seam_shift_px=0.0):
    camera = np.array([[1326, 0, 256, 256 * 12], [0, 1326, 266, 266 * 12], [0, 0, 1, 12]], np.float64)
    camera = (camera / 12).astype(np.float32)

    def lift(plan):
        return np.concatenate([plan, depth(plan[:, :1], plan[:, 1:])], 1)

    def project(points):
        h = points @ camera[:, :3].T + camera[:, 3]
        return h[:, :2] / h[:, 2:]

    template, source = lift(face_plan(0.0)), lift(face_plan(gap))
    points = project(source)

    index = np.arange(478)
    radius, turn = np.sqrt((index + 0.5) / 478), index * 2.39996
    spread = np.stack([0.6 * radius * np.cos(turn), -0.2 + 0.8 * radius * np.sin(turn)], -1)
    mesh = lift(spread)
    ring = np.linspace(-np.pi / 2, 1.5 * np.pi, len(FACE_OVAL), endpoint=False)
    mesh[list(FACE_OVAL)] = lift(np.stack([0.68 * np.cos(ring), -0.28 + 0.92 * np.sin(ring)], -1))
    mesh[list(MESH_OF_68)] = source
    for side, upper, lower in ((-0.34, RIGHT_UPPER, RIGHT_LOWER), (0.34, LEFT_UPPER, LEFT_LOWER)):
        left, right = np.array([side - 0.16, -0.55]), np.array([side + 0.16, -0.55])
        mesh[list(upper)] = lift(curve(left, right, -0.075, 9))
        mesh[list(lower)] = lift(curve(left, right, 0.065, 9))
    in_l, in_r = np.array([-0.24, 0.24]), np.array([0.24, 0.24])
    mesh[list(UPPER_INNER)] = lift(curve(in_l, in_r, -gap / 2, 11))
    mesh[list(LOWER_INNER)] = lift(curve(in_l, in_r, gap / 2, 11))
    mesh_px = np.concatenate([project(mesh), UNIT * mesh[:, 2:]], 1)

    def polygon(canvas, outline, colour):
        cv2.fillPoly(canvas, [np.rint(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, shift=4)

    x, y = np.meshgrid(np.arange(512), np.arange(512))
    plate = np.stack([60 + x * 0.1, 80 + y * 0.1, np.full_like(x, 140)], -1).astype(np.uint8)
    person = np.full((512, 512, 3), HAIR, np.uint8)
    matte = np.zeros((512, 512), np.uint8)
    cv2.ellipse(matte, (256, 210), (115, 150), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.rectangle(matte, (215, 300), (297, 420), 255, -1)
    cv2.ellipse(matte, (256, 520), (200, 140), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.rectangle(person, (180, 320), (330, 420), SKIN, -1)
    cv2.ellipse(person, (256, 520), (205, 145), 0, 0, 360, (90, 90, 120), -1, cv2.LINE_AA)
    polygon(person, mesh_px[list(FACE_OVAL), :2], SKIN)
    irises = []
    for side, eye in ((-0.34, slice(36, 42)), (0.34, slice(42, 48))):
        lids = (RIGHT_UPPER, RIGHT_LOWER) if side < 0 else (LEFT_UPPER, LEFT_LOWER)
        outline = np.concatenate([mesh_px[list(lids[0]), :2], mesh_px[list(lids[1])[::-1], :2]])
        layer, mask = np.full_like(person, WHITE), np.zeros((512, 512), np.uint8)
        centre = points[eye].mean(0)
        cv2.circle(layer, tuple(np.rint(centre * 16).astype(int).tolist()), 7 * 16, IRIS, -1, cv2.LINE_AA, shift=4)
        polygon(mask, outline, 255)
        share = mask[..., None] / 255
        person = np.rint(person * (1 - share) + layer * share).astype(np.uint8)
        irises.append([*centre, 7.0])
    polygon(person, points[48:60], LIP)
    if gap:
        polygon(person, points[60:68], (30, 200, 220))
    else:
        seam = mesh_px[list(UPPER_INNER), :2] + [0, seam_shift_px]
        cv2.polylines(person, [np.rint(seam * 16).astype(np.int32)], False, (70, 20, 20), 1, cv2.LINE_AA, shift=4)
    return Avatar(
        name="drawn",
        image=person,
        matte=cv2.GaussianBlur(matte, (0, 0), 1.2),
        plate=plate,
        source_points=points.astype(np.float32),
        template=template.astype(np.float32),
        camera=camera,
        irises=np.array(irises, np.float32),
        mesh=mesh_px.astype(np.float32),
    )


class Motion:
    """Landmarks of the drawn person for a jaw opening, a closing of the lids and a pose."""

    def __init__(self, avatar):
        self.template = avatar.template

    def __call__(self, jaw=0.0, blink=0.0, pose=(0, 0, 0, 0, 0, 0)):
        displacement = np.zeros((68, 3), np.float32)
        displacement[[55, 56, 57, 58, 59], 1] = jaw
        displacement[[65, 66, 67], 1] = jaw
        displacement[[48, 54, 60, 64], 1] = 0.3 * jaw
        displacement[5:12, 1] = 0.8 * jaw
        for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
            gap = self.template[lower, 1] - self.template[upper, 1]
            displacement[upper, 1] = 0.9 * blink * gap
            displacement[lower, 1] = -0.1 * blink * gap
        pose = np.asarray(pose, np.float32)
        landmarks = (self.template + displacement) @ rotation_matrix(pose[:3]).T + pose[3:]
        return landmarks.astype(np.float32), pose


@pytest.fixture(scope="session")
def make_person():
    return draw_person


@pytest.fixture(scope="session")
def person():
    return draw_person()


@pytest.fixture(scope="session")
def renderer(person):
    return WarpRenderer(person)


@pytest.fixture(scope="session")
def motion(person):
    return Motion(person)
