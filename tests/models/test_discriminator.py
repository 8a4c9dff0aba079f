import pytest

torch = pytest.importorskip("torch")

from models.discriminator import MultiscaleDiscriminator  # noqa: E402


def test_each_scale_judges_patches_of_twice_the_size():
    torch.manual_seed(0)
    net = MultiscaleDiscriminator(5, width=4, layers=2, scales=2)
    scores = net(torch.rand(2, 3, 64, 64), torch.rand(2, 2, 64, 64))
    assert [len(scale) for scale in scores] == [4, 4]
    (fine, coarse) = (scale[-1] for scale in scores)
    assert fine.shape[:2] == coarse.shape[:2] == (2, 1)
    assert 0.4 < coarse.shape[-1] / fine.shape[-1] < 0.65


def test_it_sees_what_the_picture_should_show():
    torch.manual_seed(0)
    net = MultiscaleDiscriminator(4, width=4, layers=2)
    picture = torch.rand(1, 3, 32, 32)
    one, other = (net(picture, torch.rand(1, 1, 32, 32))[0][-1] for _ in range(2))
    assert not torch.allclose(one, other)
