"""Equations 10 to 13 against cases computed by hand."""

import pytest

torch = pytest.importorskip("torch")

from training.style_loss import (  # noqa: E402
    mean_features,
    mixed_motion,
    style_constraint,
    style_regularisation,
    transfer_loss,
)


def linear(weights):
    """f(x) = W x."""
    matrix = torch.tensor(weights)
    return lambda x: x @ matrix.T


def test_constraint_is_the_squared_distance_of_mean_features():
    one = mean_features(torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[1.0, 1.0], [1.0, 1.0]]]))
    other = mean_features(torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]))
    assert one.tolist() == [[1.0, 2.0], [1.0, 1.0]]
    # First of the batch: (1 - 1)^2 + (2 - 0)^2 = 4; second: 0.
    assert style_constraint(one, other).item() == 2.0


def test_mix_goes_from_generated_to_source():
    source, generated = torch.full((2, 3, 4), 4.0), torch.zeros(2, 3, 4)
    assert mixed_motion(source, generated, 0.25).unique().tolist() == [1.0]
    gamma = torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    assert mixed_motion(source, generated, gamma)[0, :, 0].tolist() == [0.0, 2.0, 4.0]


def test_regularisation_wants_a_gradient_of_length_one():
    # The gradient of the sum of W x is the sum of the rows of W, everywhere: (3, 4), of length 5.
    steep = linear([[1.0, 4.0], [2.0, 0.0]])
    assert style_regularisation(steep, torch.randn(2, 3, 2)).item() == pytest.approx(16.0)
    assert style_regularisation(linear([[0.6, 0.8]]), torch.randn(5, 2)).item() == pytest.approx(0.0, abs=1e-10)
    assert style_regularisation(linear([[0.0, 0.0]]), torch.randn(5, 2)).item() == pytest.approx(1.0, abs=1e-5)


def test_the_gradient_is_taken_at_the_mix():
    # f(x) = x^2 / 2 has the gradient x: at the mix 0.25 * 4 + 0.75 * 0 = 1 it is 1, and the loss 0.
    loss = transfer_loss(
        lambda x: x.square() / 2, torch.zeros(1, 1, 1), torch.full((1, 1, 1), 4.0), torch.tensor(0.0), 0.25
    )
    assert loss["regularisation"].item() == pytest.approx(0.0, abs=1e-10)
    # f of the source is 8, of the generated 0.
    assert loss["constraint"].item() == 64.0


def test_transfer_is_the_sum_of_the_three():
    torch.manual_seed(0)
    network = torch.nn.Linear(6, 4)
    generated, source = torch.randn(2, 3, 6, requires_grad=True), torch.randn(2, 3, 6)
    parts = transfer_loss(network, generated, source, torch.tensor(0.7), torch.rand(2, 3))
    total = parts["constraint"] + parts["regularisation"] + parts["motion"]
    assert parts["transfer"].item() == pytest.approx(total.item()) and parts["motion"].item() == pytest.approx(0.7)
    parts["transfer"].backward()
    assert generated.grad.abs().max() > 0, "L_sc reaches the motion generator"
    assert network.weight.grad.abs().max() > 0


def test_regularisation_alone_teaches_the_network():
    network = torch.nn.Linear(3, 2)
    loss = style_regularisation(network, torch.randn(4, 3))
    loss.backward()
    assert network.weight.grad.abs().max() > 0
