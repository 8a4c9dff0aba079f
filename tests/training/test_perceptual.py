import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from engine.errors import ConfigError  # noqa: E402
from training.perceptual import VGG_LAYERS, PyramidLoss, RandomFeatureLoss, perceptual_loss  # noqa: E402


@pytest.mark.parametrize("loss", [PyramidLoss(), RandomFeatureLoss(), perceptual_loss(None)])
def test_stand_ins_see_differences_and_never_change(loss):
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    made = (0.5 * picture).requires_grad_()
    assert float(loss(picture, picture)) == 0 < float(loss(made, picture).detach())
    loss(made, picture).backward()
    assert made.grad is not None and not any(p.requires_grad for p in loss.parameters())


def test_random_filters_are_the_same_in_every_run():
    picture = torch.rand(1, 3, 32, 32)
    assert float(RandomFeatureLoss()(picture, 0 * picture)) == float(RandomFeatureLoss()(picture, 0 * picture))


def test_vgg_is_read_from_the_users_file(tmp_path, monkeypatch):
    small = tuple(min(channels, 4) for channels in VGG_LAYERS)
    monkeypatch.setattr("training.perceptual.VGG_LAYERS", small)
    state, inputs, index = {}, 3, 0
    for outputs in small:
        if outputs:
            state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3)
            state[f"features.{index}.bias"] = torch.zeros(outputs)
            inputs, index = outputs, index + 2
        else:
            index += 1
    save_file(state | {"classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg.safetensors")
    loss = perceptual_loss(tmp_path / "vgg.safetensors")
    picture = torch.rand(1, 3, 32, 32)
    assert float(loss(picture, picture)) == 0 < float(loss(0.5 * picture, picture))


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_a_file_that_is_no_vgg_is_one_sentence(tmp_path, content):
    file = tmp_path / "vgg.safetensors"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="VGG-19"):
        perceptual_loss(file)
