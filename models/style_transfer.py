"""The style transfer network f (paper, section 5.1)."""

from itertools import pairwise
from typing import Final, cast

from torch import Tensor, nn

from models.spec import LANDMARKS

STYLE_MLP: Final = (1024, 512, 256)
STYLE_DIM: Final = 3 * LANDMARKS


class StyleTransferNet(nn.Module):
    """An MLP of 1024, 512 and 256 neurons on landmarks vectorised to 68x3; the last layer gives the features.

    Its activations are smooth, because a loss takes the gradient of its gradient (eq. 11), which is zero almost
    everywhere for piecewise linear ones.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((STYLE_DIM, *STYLE_MLP)):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, motion: Tensor) -> Tensor:
        """Features of motions.

        Args:
            motion: float32 (..., 204), displacements of 68 points x, y, z in units of ``DISPLACEMENT_SCALE``.

        Returns:
            float32 (..., 256).
        """
        return cast(Tensor, self.mlp(motion))
