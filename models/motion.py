"""The motion generator for mouth, eyes and nose (paper 3.2), one network for every lookahead."""

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from models.spec import (
    APC_UNITS,
    MAX_LOOKAHEAD,
    MELS_PER_MOTION,
    MOTION_DIM,
    MOTION_LSTM_LAYERS,
    MOTION_LSTM_UNITS,
    MOTION_MLP,
)


class MotionGenerator(nn.Module):
    """Three LSTM layers of 256, then an MLP of 256, 512 and 75 neurons and 123 = 41x3 displacements.

    The paper gives 75 as the last layer and 41x3 as the output: 75 is read as the size of the motion's basis.

    Delay. The output of input frame n is the motion of frame n - d, where d, the lookahead in frames, is a
    condition: an embedding of d is added to the first layer. At d = 18 the network has heard 300 ms beyond the
    frame that it draws, at d = 0 nothing.

    ::

        input frame    0  1  2  ...  d    d+1
        output moves   -  -  -  ...  0    1       ("-": before the stream began, to be dropped)
    """

    def __init__(self) -> None:
        super().__init__()
        width = 512
        self.inlet = nn.Linear(APC_UNITS * MELS_PER_MOTION, width)
        self.norm = nn.BatchNorm1d(width)
        self.lookahead = nn.Embedding(MAX_LOOKAHEAD + 1, width)
        self.mix = nn.Linear(width, width)
        self.lstm = nn.LSTM(width, MOTION_LSTM_UNITS, num_layers=MOTION_LSTM_LAYERS, batch_first=True)
        sizes = (MOTION_LSTM_UNITS, *MOTION_MLP)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.LeakyReLU(0.2)]
        self.mlp = nn.Sequential(*layers[:-1], nn.Linear(MOTION_MLP[-1], MOTION_DIM))
        nn.init.normal_(self.lookahead.weight, std=0.1)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.chunk(4):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                for gate in parameter.chunk(4):
                    nn.init.xavier_uniform_(gate)
            elif name.startswith("bias_hh"):
                # Gates that begin open let gradients reach far back.
                nn.init.zeros_(parameter)
                nn.init.ones_(parameter[MOTION_LSTM_UNITS : 2 * MOTION_LSTM_UNITS])

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Zero hidden and cell states, each float32 (3, batch, 256)."""
        zero = self.inlet.weight.new_zeros(MOTION_LSTM_LAYERS, batch, MOTION_LSTM_UNITS)
        return zero, zero.clone()

    def forward(
        self, features: Tensor, lookahead: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Generate motion for any number of frames; called with one frame at a time when streaming.

        Args:
            features: float32 (batch, frames, 1024), two consecutive encoder features a motion frame.
            lookahead: int64 (batch,), 0..18 frames.
            hidden: float32 (3, batch, 256).
            cell: float32 (3, batch, 256).

        Returns:
            Displacements float32 (batch, frames, 123) in fu, frame-major points x, y, z; next hidden; next cell.
        """
        x = self.inlet(features) + self.lookahead(lookahead)[:, None]
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        x = self.mix(nn.functional.leaky_relu(x, 0.2))
        x, (hidden, cell) = self.lstm(x, (hidden, cell))
        return cast(Tensor, self.mlp(x)), hidden, cell
