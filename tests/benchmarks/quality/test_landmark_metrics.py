import numpy as np
import pytest
from clip_fakes import face

from benchmarks.quality import landmark_metrics as metrics


def still(frames=4, width=100.0):
    """A clip of one point cloud whose jaw ends are ``width`` px apart."""
    points = np.random.default_rng(0).uniform(0, 50, (68, 2))
    points[0], points[16] = (0, 20), (width, 20)
    return np.repeat(points[None], frames, axis=0)


@pytest.mark.parametrize("metric", [metrics.dl_percent, metrics.dv_percent, metrics.da_percent, metrics.lmd])
def test_a_clip_against_itself_is_zero(metric):
    clip = np.stack([face(opening) for opening in (0, 0.4, 1, 0.2)])
    assert metric(clip, clip) == 0


def test_a_shift_of_five_pixels_on_a_face_of_a_hundred_is_five_percent():
    clip = still()
    moved = clip + np.array([3, 4])
    assert metrics.dl_percent(clip, moved) == pytest.approx(5)
    assert metrics.dv_percent(clip, moved) == pytest.approx(0, abs=1e-9)
    assert metrics.lmd(clip, moved) == pytest.approx(0, abs=1e-9)
    assert metrics.da_percent(clip, moved) == pytest.approx(0, abs=1e-9)
    assert metrics.dl_percent(3 * clip, 3 * moved) == pytest.approx(5)


def test_velocity_is_the_step_between_frames():
    clip = still(width=200.0)
    drifting = clip + np.arange(4)[:, None, None] * (6.0, 8.0)
    assert metrics.velocity_differences(clip, drifting) == pytest.approx([5, 5, 5])
    assert metrics.dl_percent(clip, drifting) == pytest.approx((0 + 5 + 10 + 15) / 4)
    assert metrics.dv_percent(clip[:1], drifting[:1]) == 0


def test_one_landmark_of_68_counts_a_68th():
    clip, other = still(), still()
    other[:, 30] += (0, 34)
    assert metrics.dl_percent(clip, other) == pytest.approx(0.5)


def test_lmd_is_about_the_mouths_own_centre():
    clip, other = still(1), still(1)
    other[:, 48] += (20, 0)
    # The centroid moves 1 px: one point is 19 px away, nineteen are 1 px away.
    assert metrics.lmd(clip, other) == pytest.approx((19 + 19 * 1) / 20)
    other[:, :48] += 50
    assert metrics.lmd(clip, other) == pytest.approx(1.9)


def test_area_is_that_of_the_inner_lips_in_percent_of_the_largest():
    def mouth(height):
        clip = still(1)
        clip[0, 60:68] = [(0, 0), (10, -height), (20, -height), (30, -height), (40, 0), (30, 0), (20, 0), (10, 0)]
        return clip

    # A trapezium of 40 and 20 px by its height.
    assert metrics.mouth_areas(mouth(8)) == pytest.approx([240])
    reference = np.concatenate([mouth(8), mouth(2)])
    generated = np.concatenate([mouth(6), mouth(4)])
    assert metrics.area_differences(reference, generated) == pytest.approx([25, 25])
    assert metrics.da_percent(reference, 1.1 * reference) == pytest.approx((21 + 5.25) / 2)


def test_a_reference_that_never_opens_has_no_largest_mouth():
    closed, opened = still(1), still(1)
    closed[:, 60:68] = 7.0
    assert metrics.da_percent(closed, closed) == 0
    assert metrics.da_percent(closed, opened) == np.inf


def test_clips_of_other_shapes_are_refused():
    for other in (still(3), still(4)[:, :67], still(0)):
        with pytest.raises(ValueError, match="68"):
            metrics.dl_percent(still(4), other)
