import numpy as np
import pytest

from engine.renderer.network_input import (
    border,
    draw_map,
    face_window,
    network_input,
    source_input,
    whole_frame,
)
from engine.stages.facial_map import FacialMap
from tests.engine.renderer.conftest import draw_person


@pytest.fixture(scope="module")
def person():
    return draw_person()


def test_the_window_lies_about_the_face_on_even_pixels(person):
    rows, columns = face_window(person.source_points)
    assert rows.stop - rows.start == columns.stop - columns.start == 256
    assert rows.start % 2 == columns.start % 2 == 0
    x, y = person.source_points[17:].T
    assert columns.start < x.min() and x.max() < columns.stop and rows.start < y.min() and y.max() < rows.stop


def test_the_window_goes_with_the_head_and_not_with_the_mouth(person):
    points = person.source_points
    (rows, columns), spoken = face_window(points), points.copy()
    spoken[48:, 1] += 25
    assert face_window(spoken) == (rows, columns)
    down, right = (line.start for line in face_window(points + np.array([10, -6])))
    assert (right - columns.start, down - rows.start) == (10, -6)
    starts = [face_window(points + np.array([0.25 * step, 0]))[1].start for step in range(80)]
    assert set(np.diff(starts)) == {0, 2}


@pytest.mark.parametrize("away", [-400, 400])
def test_the_window_stays_in_the_frame(person, away):
    for line in face_window(person.source_points + away):
        assert (line.start, line.stop) == ((0, 256) if away < 0 else (256, 512))


def test_the_channels_are_cut_from_the_frame(person):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (512, 512, 3), np.uint8)
    mouth, eyes = rng.integers(0, 256, (2, 512, 512), np.uint8)
    points, window = person.source_points, face_window(person.source_points)
    seen = network_input(frame, mouth, eyes, points, window)
    assert seen.shape == (6, 256, 256) and seen.dtype == np.uint8
    np.testing.assert_array_equal(seen[:3], np.moveaxis(frame[window], 2, 0))
    np.testing.assert_array_equal(seen[3], mouth[window])
    np.testing.assert_array_equal(seen[4], eyes[window])
    assert network_input(frame, mouth, eyes, points, whole_frame()).shape == (6, 512, 512)


def test_the_lines_are_those_of_the_facial_map(person):
    whole = FacialMap(person.camera).draw(person.template)
    points, window = person.project(person.template), face_window(person.source_points)
    drawn = np.empty((256, 256), np.uint8)
    draw_map(points, window, drawn)
    np.testing.assert_array_equal(drawn, whole[window])


def test_the_source_is_the_portrait_with_its_own_lines(person):
    source, window = source_input(person), face_window(person.source_points)
    np.testing.assert_array_equal(source[:3], np.moveaxis(person.image[window], 2, 0))
    assert source[3].any()
    np.testing.assert_array_equal(source_input(person, 512)[:, *window], source)


def test_the_border_fades_to_nothing_at_the_edge():
    fading = border()
    assert fading.shape == (256, 256) and fading.dtype == np.float32
    assert (fading[20:-20, 20:-20] == 1).all()
    assert not fading[0].any() and not fading[:, -1].any()
    assert (np.diff(fading[128, :128]) >= 0).all() and np.diff(fading[128]).max() < 0.1
    assert (border(512) == 1).all()
