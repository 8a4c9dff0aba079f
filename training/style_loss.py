"""The losses of style transfer (paper, section 5.2, equations 10 to 13)."""

from collections.abc import Callable

import torch
from torch import Tensor

StyleNetwork = Callable[[Tensor], Tensor]


def mean_features(features: Tensor) -> Tensor:
    """The mean features of a stretch: the paper's f passes a stretch of motion on and says "mean features" of it.

    Args:
        features: float32 (batch, frames, width).

    Returns:
        float32 (batch, width).
    """
    return features.mean(1)


def style_constraint(generated: Tensor, source: Tensor) -> Tensor:
    """L_sc, eq. 10: squared distance of the mean features of two motions.

    Args:
        generated: float32 (batch, width), of f(phi_mg).
        source: float32 (batch, width), of f(phi_s).

    Returns:
        Scalar, mean over the batch.
    """
    return (generated - source).square().sum(-1).mean()


def mixed_motion(source: Tensor, generated: Tensor, gamma: Tensor | float) -> Tensor:
    """Eq. 12: gamma * phi_s + (1 - gamma) * phi_mg; ``gamma`` is a number or has the motions' leading dimensions."""
    if isinstance(gamma, Tensor):
        gamma = gamma.reshape(*gamma.shape, *([1] * (source.dim() - gamma.dim())))
    return gamma * source + (1 - gamma) * generated


def style_regularisation(network: StyleNetwork, mixed: Tensor) -> Tensor:
    """L_r, eq. 11: (norm of the gradient of f at the mix of eq. 12 - 1) squared.

    f has 256 outputs; the gradient is that of their sum, as usual where a gradient penalty meets a vector.

    Args:
        network: f.
        mixed: float32 (..., 204).

    Returns:
        Scalar, mean over all motions. It can be differentiated for the weights of f.
    """
    point = mixed.detach().requires_grad_(True)
    features = network(point)
    (gradient,) = torch.autograd.grad(features.sum(), point, create_graph=True)
    # The root of 0 has no derivative.
    return ((gradient.square().sum(-1) + 1e-12).sqrt() - 1).square().mean()


def transfer_loss(
    network: StyleNetwork, generated: Tensor, source: Tensor, motion: Tensor, gamma: Tensor | float
) -> dict[str, Tensor]:
    """L_transfer, eq. 13, and its parts.

    Args:
        network: f.
        generated: float32 (batch, frames, 204), phi_mg.
        source: float32 (batch, frames, 204), phi_s.
        motion: Scalar L_mg.
        gamma: Of eq. 12; a number or (batch, frames).

    Returns:
        Scalars ``constraint`` (L_sc), ``regularisation`` (L_r), ``motion`` (L_mg) and their sum ``transfer``.
    """
    constraint = style_constraint(mean_features(network(generated)), mean_features(network(source)))
    regularisation = style_regularisation(network, mixed_motion(source, generated, gamma))
    return {
        "constraint": constraint,
        "regularisation": regularisation,
        "motion": motion,
        "transfer": motion + constraint + regularisation,
    }
