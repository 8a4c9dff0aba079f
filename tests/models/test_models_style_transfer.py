import pytest

torch = pytest.importorskip("torch")

from models.style_transfer import StyleTransferNet  # noqa: E402


def test_three_layers_of_the_paper_s_sizes_on_68_points():
    net = StyleTransferNet()
    linear = [layer for layer in net.mlp if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(204, 1024), (1024, 512), (512, 256)]
    assert net(torch.zeros(2, 5, 204)).shape == (2, 5, 256)
    assert isinstance(net.mlp[-1], torch.nn.Linear), "features are not squashed"


def test_its_gradient_has_a_gradient():
    net, point = StyleTransferNet(), torch.randn(3, 204, requires_grad=True)
    (slope,) = torch.autograd.grad(net(point).sum(), point, create_graph=True)
    slope.square().sum().backward()
    assert net.mlp[0].weight.grad.abs().max() > 0
