import pytest

torch = pytest.importorskip("torch")

from models.generator import (  # noqa: E402
    PAPER_CHANNELS,
    LiteGenerator,
    PaperGenerator,
    ResidualBlock,
    StaticEncoder,
    openness,
    refined,
)


@pytest.fixture
def lite():
    torch.manual_seed(0)
    return LiteGenerator().eval(), StaticEncoder().eval()


@torch.no_grad()
def test_lite_untrained_leaves_the_frame_nearly_alone(lite):
    generator, static = lite
    frame = torch.rand(2, 6, 64, 96)
    told = static(torch.rand(2, 4, 64, 96), torch.zeros(2, 12, 64, 64))
    assert told.shape == (2, 16, 16, 24)
    residual, mask = generator(frame, told)
    assert residual.shape == (2, 3, 64, 96) and mask.shape == (2, 1, 64, 96)
    assert float(mask.max()) < 0.5
    assert float((refined(frame[:, :3], residual, mask) - frame[:, :3]).abs().mean()) < 0.02


@torch.no_grad()
def test_lite_sees_portrait_frame_and_place(lite):
    generator, static = lite
    frame, source, none = torch.rand(1, 6, 64, 64), torch.rand(1, 4, 64, 64), torch.zeros(1, 12, 64, 64)
    base = generator(frame, static(source, none))[0]
    assert not torch.allclose(base, generator(frame, static(source.flip(0, 1), none))[0])
    changed = frame.clone()
    changed[..., :4, :4] = 0
    difference = (generator(changed, static(source, none))[0] - base).abs().amax((0, 1))
    assert float(difference[:4, :4].max()) > float(difference[-4:, -4:].max())


@torch.no_grad()
def test_lite_leaves_the_inside_of_the_mouth_to_the_layer(lite):
    generator, static = lite
    frame = torch.rand(1, 6, 64, 64)
    frame[:, 3] = 0
    frame[:, 3, 20:30] = 1
    _, mask = generator(frame, static(torch.rand(1, 4, 64, 64), torch.zeros(1, 12, 64, 64)))
    assert float(mask[:, :, 20:30].max()) == 0 < float(mask[:, :, :18].min())


def test_patterns_reach_the_portraits_encoding_once_trained(lite):
    _, static = lite
    source, patterns = torch.rand(1, 4, 64, 64), torch.rand(1, 12, 64, 64)
    assert torch.equal(static(source, patterns), static(source, torch.zeros_like(patterns)))
    static.style.weight.data.normal_()
    assert not torch.equal(static(source, patterns), static(source, torch.zeros_like(patterns)))


def test_openness_fades_in_with_the_mouth():
    frame = torch.zeros(3, 6, 256, 256)
    frame[1, 3, 100:110, 100:115] = 1
    frame[2, 3, 100:130, 100:150] = 1
    assert openness(frame).flatten().tolist() == pytest.approx([0, 0.5, 1])


def test_residual_block_starts_as_the_identity():
    x = torch.rand(1, 8, 5, 5)
    assert torch.equal(ResidualBlock(8)(x), x)


def test_paper_has_the_papers_layers():
    with torch.device("meta"):
        net, x = PaperGenerator().eval(), torch.zeros(1, 18, 512, 512)
    sides = []
    for layer in net.encoder:
        x = layer(x)
        sides.append((x.shape[1], x.shape[2]))
    assert sides == list(zip(PAPER_CHANNELS, (256, 128, 64, 32, 16, 8, 4, 2), strict=True))
    assert PAPER_CHANNELS == (64, 128, 256, 512, 512, 512, 512, 512)
    residual_blocks = [any(isinstance(part, ResidualBlock) for part in layer) for layer in net.encoder]
    assert residual_blocks == [False] + [True] * 7


@pytest.mark.parametrize("alignment", ["warp", "raw"])
@torch.no_grad()
def test_paper_draws_or_refines(alignment):
    torch.manual_seed(0)
    net = PaperGenerator(alignment, (4, 6, 8)).eval()
    picture = torch.rand(2, 3, 32, 32)
    drawn, mask = net(picture, torch.rand(2, 3, 32, 32), torch.rand(2, 12, 32, 32))
    assert drawn.shape == (2, 3, 32, 32) and mask.shape == (2, 1, 32, 32)
    if alignment == "raw":
        assert float(mask.min()) == 1 and 0 <= float(drawn.min()) and float(drawn.max()) <= 1
    else:
        assert float(mask.mean()) < 0.5
