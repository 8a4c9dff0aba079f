"""Matte, plate and colours on pictures whose truth is known."""

import cv2
import numpy as np
import pytest

from engine.portrait.inpaint import fill, membrane, push_pull
from engine.portrait.lips import INNER_CORNERS, LOWER_INNER, UPPER_INNER, part_lips, seal_lips
from engine.portrait.matte import one_piece, tidy
from engine.portrait.matting import GuidedFilter, foreground_colours, solve_alpha

SIZE = 128


def soft_disc() -> np.ndarray:
    yy, xx = np.mgrid[:SIZE, :SIZE]
    return np.clip((40 - np.hypot(xx - 64, yy - 64)) / 8 + 0.5, 0, 1).astype(np.float32)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A soft red disc over a background that goes from blue to green: picture, alpha, background."""
    alpha = soft_disc()
    ramp = np.linspace(0, 1, SIZE)[None, :, None]
    background = np.broadcast_to(np.array([20, 60, 200]) * (1 - ramp) + np.array([40, 180, 60]) * ramp, (SIZE, SIZE, 3))
    mixed = np.array([210, 40, 30]) * alpha[..., None] + background * (1 - alpha[..., None])
    return np.round(mixed).astype(np.uint8), alpha, np.round(background).astype(np.uint8)


def test_alpha_of_a_soft_edge_is_found() -> None:
    rgb, alpha, _ = scene()
    guess = np.full(alpha.shape, 0.5, np.float32)
    found = solve_alpha(rgb, alpha > 0.999, alpha < 0.001, guess)
    assert np.abs(found - alpha).mean() < 0.005
    assert np.abs(found - alpha).max() < 0.12
    assert (found[alpha > 0.999] == 1).all()


def test_the_guided_filter_keeps_what_its_guide_explains() -> None:
    rgb, alpha, _ = scene()
    guided = GuidedFilter(rgb.astype(np.float32) / 255, epsilon=1e-6)
    assert np.abs(guided(alpha) - alpha).max() < 0.05
    assert guided(np.full_like(alpha, 0.3)) == pytest.approx(0.3, abs=1e-3)


def test_soft_edges_get_the_persons_own_colour() -> None:
    rgb, alpha, background = scene()
    colours = foreground_colours(rgb, alpha, background)
    rim = (alpha > 0.02) & (alpha < 0.98)
    mixed = np.abs(rgb[rim].astype(float) - [210, 40, 30]).mean()
    assert np.abs(colours[rim] - [210, 40, 30]).mean() < 8 < mixed
    assert np.array_equal(colours[alpha == 1], rgb[alpha == 1].astype(np.float32))
    # On another background, no fringe of the old one is left.
    white = colours * alpha[..., None] + 255 * (1 - alpha[..., None])
    truth = np.array([210, 40, 30]) * alpha[..., None] + 255 * (1 - alpha[..., None])
    assert np.abs(white - truth).max() < 25


def test_filling_continues_tones_and_keeps_the_known() -> None:
    _, alpha, background = scene()
    known = alpha == 0
    hidden = np.where(known[..., None], background, 255).astype(np.uint8)
    filled = fill(hidden, known)
    assert np.array_equal(filled[known], background[known])
    assert np.abs(filled.astype(int) - background).max() < 30
    assert np.abs(filled.astype(int) - background).mean() < 4


def test_filling_carries_texture_near_the_edge() -> None:
    grain = np.random.default_rng(0).normal(128, 20, (SIZE, SIZE, 1)).repeat(3, -1)
    picture = np.clip(cv2.GaussianBlur(grain, (0, 0), 0.8), 0, 255).astype(np.uint8)
    known = np.ones((SIZE, SIZE), bool)
    known[:, 64:] = False
    filled = fill(picture, known).astype(float)
    assert filled[:, 66:74].std() > 0.5 * filled[:, 50:60].std()
    assert filled[:, 120:].std() < 0.5 * filled[:, 50:60].std()


def test_fill_at_the_limits() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    assert fill(picture, np.ones((40, 30), bool)) is picture
    assert len(np.unique(fill(picture, np.zeros((40, 30), bool)))) == 1
    one = np.zeros((40, 30), bool)
    one[3, 4] = True
    assert np.abs(fill(picture, one).astype(int) - picture[3, 4]).max() <= 1


def test_membrane_stays_within_what_is_known() -> None:
    picture = np.zeros((50, 70, 1), np.float32)
    picture[:, 60:] = 100
    known = np.zeros((50, 70), bool)
    known[:, :8] = known[:, 60:] = True
    stretched = membrane(picture, known)
    assert stretched.min() >= 0
    assert stretched.max() <= 100
    rows = stretched[25, 8:60, 0]
    assert (np.diff(rows) > -0.5).all()
    assert rows == pytest.approx(np.linspace(0, 100, 52), abs=12)


def test_push_pull_keeps_the_known() -> None:
    picture = np.full((33, 47, 3), 70, np.float32)
    weight = np.zeros((33, 47), np.float32)
    weight[10:12, 20] = 1
    assert push_pull(picture * weight[..., None], weight) == pytest.approx(70, abs=0.5)


def test_one_piece_keeps_the_face_and_closes_holes() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[20:90, 20:60] = True
    mask[40:43, 30:33] = False
    mask[10:118, 80:126] = True
    face = np.zeros((SIZE, SIZE), np.uint8)
    face[50:60, 30:40] = 1
    piece = one_piece(mask, face)
    assert piece[41, 31]
    assert not piece[60, 100]
    assert one_piece(mask)[60, 100]
    assert not one_piece(np.zeros((9, 9), bool)).any()


def test_tidy_drops_veil_and_specks() -> None:
    matte = np.zeros((SIZE, SIZE), np.uint8)
    matte[30:100, 30:100] = 250
    matte[:20] = 8
    matte[110:114, 10:14] = 255
    tidied = tidy(matte)
    assert (tidied[:20] == 0).all()
    assert (tidied[110:114, 10:14] == 0).all()
    assert (tidied[32:98, 32:98] == 255).all()


def lips(between: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A drawn mouth: skin, red lips, a dark seam at y = 60; the mesh claims a gap from 60 to 66 px."""
    picture = np.full((SIZE, SIZE, 3), (225, 180, 150), np.uint8)
    picture[50:80, 30:98] = (190, 90, 90)
    picture[61:66, 30:98] = between
    picture[60, 30:98] = (110, 45, 45)
    mesh = np.zeros((478, 3), np.float32)
    mesh[33, :2], mesh[263, :2] = (0, 30), (120, 30)
    columns = np.linspace(40, 88, 9)
    mesh[list(UPPER_INNER), :2] = np.column_stack([columns, np.full(9, 60)])
    mesh[list(LOWER_INNER), :2] = np.column_stack([columns, np.full(9, 66)])
    mesh[[12, 38, 268], :2] = [(64, 55), (56, 55), (72, 55)]
    mesh[[15, 86, 316], :2] = [(64, 72), (56, 72), (72, 72)]
    return picture, mesh


def test_touching_lips_are_sealed_on_their_seam() -> None:
    picture, mesh = lips((190, 90, 90))
    sealed = seal_lips(picture, mesh)
    assert np.array_equal(sealed[list(UPPER_INNER)], sealed[list(LOWER_INNER)])
    assert sealed[13, 1] == pytest.approx(60, abs=0.7)
    assert mesh[14, 1] == 66


@pytest.mark.parametrize("between", [(30, 12, 12), (225, 220, 205)])
def test_a_dark_mouth_and_teeth_stay_open(between: tuple[int, int, int]) -> None:
    picture, mesh = lips(between)
    assert seal_lips(picture, mesh) is mesh


def narrow_row(colour: tuple[int, int, int], top: int = 59, bottom: int = 63) -> tuple[np.ndarray, np.ndarray]:
    """A drawn mouth with a row of ``colour`` from ``top`` to ``bottom``; the mesh holds its lips for closed at 60."""
    picture, mesh = lips((190, 90, 90))
    picture[60, 30:98] = (190, 90, 90)
    picture[top:bottom, 44:84] = colour
    for line in (UPPER_INNER, LOWER_INNER):
        mesh[list(line), 1] = 60
    mesh[list(INNER_CORNERS), :2] = [(36, 60), (92, 60)]
    return picture, mesh


def test_lips_are_parted_by_the_teeth_that_are_seen() -> None:
    picture, mesh = narrow_row((225, 220, 205))
    parted = part_lips(picture, mesh)
    assert mesh[13, 1] == mesh[14, 1] == 60
    # The row's own edges, and what a renderer needs to take the lips for parted.
    assert 56 < parted[13, 1] < 59.5 and 62 < parted[14, 1] < 65
    assert parted[14, 1] - parted[13, 1] > 0.045 * 120
    assert (np.diff(parted[list(LOWER_INNER)[:5], 1]) > 0).all(), "the gap narrows towards the corners"
    other = np.setdiff1d(np.arange(478), [*UPPER_INNER, *LOWER_INNER])
    assert np.array_equal(parted[other], mesh[other])


@pytest.mark.parametrize(
    ("colour", "top", "bottom"),
    [((60, 20, 20), 59, 63), ((190, 90, 90), 59, 63), ((240, 215, 210), 68, 70), ((190, 150, 145), 55, 56)],
    ids=["dark", "lip", "gloss of the lower lip", "gloss of the upper lip"],
)
def test_what_is_no_row_of_teeth_parts_no_lips(colour: tuple[int, int, int], top: int, bottom: int) -> None:
    picture, mesh = narrow_row(colour, top, bottom)
    assert part_lips(picture, mesh) is mesh


@pytest.mark.parametrize("colour", [(225, 220, 205), (190, 90, 90)])
def test_a_grey_picture_does_not_tell_teeth_from_lips(colour: tuple[int, int, int]) -> None:
    picture, mesh = narrow_row(colour)
    grey = np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    assert part_lips(grey, mesh) is mesh


def test_lips_that_the_mesh_holds_for_parted_are_left_to_it() -> None:
    picture, mesh = narrow_row((225, 220, 205))
    mesh[list(LOWER_INNER), 1] = 66
    assert part_lips(picture, mesh) is mesh
