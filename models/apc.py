"""The APC audio encoder (paper 3.1): a unidirectional GRU stack trained to predict future log-mel frames."""

from typing import cast

from torch import Tensor, nn

from models.spec import APC_LAYERS, APC_UNITS, MEL_BANDS

MEL_CENTRE, MEL_SPREAD = 0.4, 0.2
"""About the mean and deviation of log-mel features of speech: the recurrent layers begin with inputs near 0."""


class ApcEncoder(nn.Module):
    """Three GRU layers of 512; the last layer's hidden state is the feature.

    Autoregressive predictive coding: a linear head on the feature predicts the log-mel frame ``shift`` frames
    ahead, so that the feature must carry what the sound is about to do.
    """

    def __init__(self, layers: int = APC_LAYERS, units: int = APC_UNITS) -> None:
        super().__init__()
        self.layers, self.units = layers, units
        self.gru = nn.GRU(MEL_BANDS, units, num_layers=layers, batch_first=True)
        self.head = nn.Linear(units, MEL_BANDS)
        for name, parameter in self.gru.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.chunk(3):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                for gate in parameter.chunk(3):
                    nn.init.xavier_uniform_(gate)

    def init_state(self, batch: int) -> Tensor:
        """Zero state, float32 (layers, batch, units)."""
        return self.head.weight.new_zeros(self.layers, batch, self.units)

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Encode any number of frames; called with two frames at a time when streaming.

        Args:
            mel: float32 (batch, frames, 80), log-mel at 120 Hz.
            state: float32 (layers, batch, units).

        Returns:
            Features float32 (batch, frames, units) and the next state.
        """
        features, state = self.gru((mel - MEL_CENTRE) / MEL_SPREAD, state)
        return features, state

    def predict(self, features: Tensor) -> Tensor:
        """The head's guess of future log-mel, float32 (batch, frames, 80); training only."""
        return cast(Tensor, self.head(features))
