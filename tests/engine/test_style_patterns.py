from dataclasses import replace

import numpy as np
import pytest

from engine.artefacts.bundle import save_bundle
from engine.artefacts.style import bundle_digest, load_style, save_style
from engine.care import Care
from engine.drawing import drawer, in_style
from engine.errors import ArtefactError
from engine.style_patterns import with_patterns
from streaming.cli import run
from tests.engine.renderer.conftest import draw_person
from tests.picture_networks import tint_network, with_mapping
from tests.style_makers import make_style


@pytest.fixture(scope="module")
def bundle(random_bundle):
    return with_mapping(random_bundle)


def test_patterns_are_those_of_the_reference_images_in_their_order(bundle):
    style = make_style(bundle, pictures=4, side=256)
    found = with_patterns(style, bundle)
    patterns = found.isp_images()
    assert patterns is not None and patterns.shape == (4, 256, 256, 3)
    assert np.abs(patterns[:, 0, 0, 0].astype(int) - (255, 195, 135, 75)).max() <= 2
    assert found.references == style.references and found.packed == style.packed
    assert found.manifest.provenance["patterns"] == f"drawn by the style mapping of {bundle.manifest.name}"
    assert with_patterns(found, bundle) == found


def test_a_style_draws_with_its_patterns(bundle):
    person, network = draw_person(), tint_network(patterns=40)
    landmarks = person.template.copy()
    landmarks[[56, 57, 58, 65, 66, 67], 1] += 0.15
    still = np.zeros(6, np.float32), np.zeros(2, np.float32), np.zeros(6, np.float32)

    def picture(style):
        out = np.empty((512, 512, 3), np.uint8)
        drawer(in_style(person, network, style))(landmarks, *still, Care.FULL, out)
        return out.astype(int)

    plain = make_style(bundle, pictures=4, side=256)
    without, drawn = picture(plain), picture(with_patterns(plain, bundle))
    np.testing.assert_array_equal(without, picture(None))
    # The patterns' mean is 165 where the network's neutral ones are 40.
    assert (drawn - without).max() > 100


def test_styles_go_with_the_bundle_whatever_its_style_mapping(random_bundle, bundle):
    assert bundle_digest(bundle) == bundle_digest(random_bundle)
    make_style(random_bundle).check_fits(bundle)


def test_what_cannot_be_drawn_is_said(random_bundle, bundle):
    style = make_style(bundle, pictures=4, side=256)
    with pytest.raises(ArtefactError, match="no style mapping: put one into it"):
        with_patterns(style, random_bundle)
    for other in (make_style(bundle), make_style(bundle, pictures=4)):
        with pytest.raises(ArtefactError, match="no 4 reference images of 256x256"):
            with_patterns(other, bundle)
    for graph in (b"none", random_bundle.graphs["apc"]):
        with pytest.raises(ArtefactError, match=r"style_mapping\.onnx"):
            with_patterns(style, replace(bundle, style_mapping=graph))
    foreign = replace(style, manifest=style.manifest.model_copy(update={"bundle_sha256": "0" * 64}))
    with pytest.raises(ArtefactError, match="another bundle"):
        with_patterns(foreign, bundle)


def test_the_command_writes_over_the_style_that_it_reads(bundle, tmp_path, capsys):
    save_bundle(bundle, tmp_path / "bundle")
    file = tmp_path / "a.style"
    save_style(make_style(bundle, pictures=4, side=256), file)
    command = ["style", "patterns", str(file), "--bundle", str(tmp_path / "bundle"), "--out"]
    assert run([*command, str(tmp_path / "a.zip")]) == 2 and "must end in .style" in capsys.readouterr().err
    assert run([*command, str(file)]) == 0 and "Wrote" in capsys.readouterr().out
    assert load_style(file).isp == with_patterns(load_style(file), bundle).isp != ()
