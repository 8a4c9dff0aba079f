import pytest

torch = pytest.importorskip("torch")

from training.corpus.heads.mask_classes import MaskClass  # noqa: E402
from training.generator_loss import (  # noqa: E402
    STYLE_REACH_PX,
    adversarial_loss,
    discriminator_loss,
    edge_loss,
    feature_matching,
    inside_mouth,
    region_weights,
    style_aware_loss,
    texture_loss,
    weighted_l1,
)


def test_regions_weigh_as_the_paper_says():
    regions = torch.arange(len(MaskClass)).view(1, 1, -1)
    weights = region_weights(regions)[0, 0, 0].tolist()
    expected = {MaskClass.SKIN: 1, MaskClass.EYE: 3}
    mouth = ("UPPER_LIP", "LOWER_LIP", "INNER_MOUTH", "TEETH", "TONGUE")
    expected |= {MaskClass[name]: 5 for name in mouth}
    assert weights == [expected.get(kind, 0) for kind in MaskClass]
    assert inside_mouth(regions)[0, 0, 0].nonzero().flatten().tolist() == [4, 5, 6]


def test_lsgan_wants_true_patches_at_one():
    one, zero = [[torch.ones(1, 1, 2, 2)]], [[torch.zeros(1, 1, 2, 2)]]
    assert float(discriminator_loss(one, zero)) == 0 and float(discriminator_loss(zero, one)) == 2
    assert float(adversarial_loss(one)) == 0 and float(adversarial_loss(zero)) == 1


def test_feature_matching_leaves_the_scores_out_and_trains_the_generator_alone():
    true = [[torch.zeros(1, 2, requires_grad=True), torch.zeros(1)]]
    made = [[torch.ones(1, 2, requires_grad=True), torch.ones(1)]]
    loss = feature_matching(true, made)
    loss.backward()
    assert float(loss.detach()) == 1 and true[0][0].grad is None and made[0][0].grad is not None


def test_weighted_l1_is_a_mean_over_what_counts():
    made, true = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    weight = torch.tensor([[[[2.0, 0.0], [2.0, 0.0]]]])
    true[..., 1] = 9
    assert float(weighted_l1(made, true, weight)) == 1
    assert float(weighted_l1(made, true, torch.zeros_like(weight))) == 0


def test_a_style_image_counts_the_less_the_further_it_is():
    made, style = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    skin = torch.full((1, 4, 4), int(MaskClass.SKIN))
    near = float(style_aware_loss(made[:1], style[:1], torch.zeros(1), skin))
    far = float(style_aware_loss(made[:1], style[:1], torch.full((1,), STYLE_REACH_PX), skin))
    assert near == pytest.approx(1) and far == pytest.approx(0.3679, abs=1e-3)


def test_texture_does_not_mind_a_shift_but_does_mind_blur():
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(1, 3, 48, 48, generator=generator)
    weight = torch.ones(1, 1, 48, 48)
    blurred = torch.nn.functional.avg_pool2d(true, 3, 1, 1)
    assert float(texture_loss(true.roll(1, -1), true, weight)) < 0.3 * float(texture_loss(blurred, true, weight))
    assert float(edge_loss(true, true, weight)) == 0 < float(edge_loss(blurred, true, weight))
