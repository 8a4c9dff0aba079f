from pathlib import Path

import numpy as np
import pytest

from engine.artefacts.style import save_style
from engine.errors import ArtefactError, ConfigError, MienError
from engine.pipeline import Pipeline
from engine.portrait.geometry import canonical68
from streaming.styles import StyledPipeline, resolve_style, shipped_styles, steer
from tests.style_makers import make_style


def test_a_style_is_found_by_name_and_by_path(tmp_path: Path, random_bundle) -> None:
    save_style(make_style(random_bundle, name="ballad"), tmp_path / "ballad.style")
    assert list(shipped_styles(tmp_path)) == ["ballad"]
    for wanted in ("ballad", tmp_path / "ballad.style", str(tmp_path / "ballad.style")):
        found = resolve_style(wanted, tmp_path)
        assert found is not None and found.name == "ballad"
    assert resolve_style("none", tmp_path) is None


@pytest.mark.parametrize("wanted", ["polka", "nowhere/x.style", "x" * 5000, "a\0b"])
def test_what_is_no_style_is_refused(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(MienError) as caught:
        resolve_style(wanted, tmp_path)
    assert isinstance(caught.value, ArtefactError) and "\n" not in str(caught.value)


def test_a_pipeline_is_in_its_style_from_the_first_frame_on(random_bundle) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    pipeline = Pipeline(random_bundle, canonical68(), 0)
    styled = StyledPipeline(pipeline, steer(make_style(random_bundle, seed=1), random_bundle, 1.0))

    def frames(of: Pipeline | StyledPipeline) -> np.ndarray:
        made, state = of.step(sound, of.init_state())
        return np.stack([frame.landmarks for frame in [*made, *of.flush(state)]])

    assert frames(styled).shape == frames(pipeline).shape
    assert np.abs(frames(styled) - frames(pipeline)).max() > 1e-4
    same = StyledPipeline(pipeline, steer(None, random_bundle))
    np.testing.assert_array_equal(frames(same), frames(pipeline))


@pytest.mark.parametrize("intensity", [-0.1, 1.6, float("nan")])
def test_an_intensity_out_of_range_is_refused(random_bundle, intensity: float) -> None:
    with pytest.raises(ConfigError, match=r"0 to 1\.5"):
        steer(None, random_bundle, intensity)
