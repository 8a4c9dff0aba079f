"""Projection of features onto the manifold of features known from training (paper 3.1).

Locally linear embedding: a feature is rebuilt from its K nearest neighbours in a bank with weights that sum to
one, which brings the feature of an unheard voice to where the motion generator is at home. Source: Live Speech
Portraits (Lu et al. 2021), section 3.2; Roweis and Saul 2000 for the weights.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COARSE_WIDTH = 128
_CANDIDATES = 96


@dataclass(frozen=True)
class ManifoldState:
    """Nothing: every feature is projected by itself."""


class Manifold:
    """Features to features near the bank."""

    lookahead_ticks = 0

    def __init__(self, bank: NDArray[np.float32], *, neighbours: int, strength: float, regularisation: float) -> None:
        """Set up.

        Args:
            bank: float32 (N, width).
            neighbours: K.
            strength: 0 gives the feature back as it is, 1 its projection; between them, a blend.
            regularisation: Share of the local Gram matrix's trace added to its diagonal: it keeps weights small
                where neighbours lie in one plane.
        """
        self._bank = bank
        self._squares = np.einsum("nw,nw->n", bank, bank)
        self._centre = bank.mean(axis=0)
        offsets = (bank - self._centre).astype(np.float64)
        # Axes of the largest variance; eigh gives them in ascending order.
        axes = np.linalg.eigh(offsets.T @ offsets)[1][:, -_COARSE_WIDTH:]
        self._axes = np.ascontiguousarray(axes.T, dtype=np.float32)
        self._coarse = np.stack([self._shorten(feature) for feature in bank])
        self._coarse_squares = np.einsum("nw,nw->n", self._coarse, self._coarse)
        self._neighbours, self._strength, self._regularisation = neighbours, strength, regularisation

    def init_state(self) -> ManifoldState:
        """The empty state."""
        return ManifoldState()

    def step(self, x: NDArray[np.float32], state: ManifoldState) -> tuple[NDArray[np.float32], ManifoldState]:
        """Project features, float32 (n, width), each by itself; the same shape comes back."""
        if self._strength == 0:
            return x, state
        neighbours, weights = self.weights(x)
        projected = np.einsum("nk,nkw->nw", weights, self._bank[neighbours])
        return x + np.float32(self._strength) * (projected - x), state

    def flush(self, state: ManifoldState) -> NDArray[np.float32]:
        """No features: nothing is held back."""
        return np.zeros((0, self._bank.shape[1]), np.float32)

    def weights(self, x: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Neighbours and the weights that rebuild ``x`` from them.

        Args:
            x: float32 (n, width).

        Returns:
            Indices into the bank (n, K), and float32 (n, K) whose rows sum to one.
        """
        count = self._neighbours
        neighbours = np.stack([self._nearest(query) for query in x])
        offsets = (self._bank[neighbours] - x[:, None]).astype(np.float64)
        gram = offsets @ offsets.transpose(0, 2, 1)
        diagonal = np.arange(count)
        trace = gram[:, diagonal, diagonal].sum(axis=1, keepdims=True)
        gram[:, diagonal, diagonal] += self._regularisation * trace + np.finfo(np.float32).tiny
        raw = np.linalg.solve(gram, np.ones((len(x), count, 1)))[..., 0]
        return neighbours, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)

    def _nearest(self, query: NDArray[np.float32]) -> NDArray[np.intp]:
        """The K nearest of the bank, exactly, reading as little of it as possible.

        The bank is larger than a core's cache, so a search costs what it reads. Distances along the bank's
        principal axes are lower bounds of the true ones and a quarter to read: the closest by them are measured in
        full, and where their K nearest beat the bound of all others, nothing else can be nearer.
        """
        count = self._neighbours
        if len(self._bank) <= _CANDIDATES:
            return self._nearest_of_all(query)
        short = self._shorten(query)
        bounds = self._coarse_squares - 2 * (self._coarse @ short) + short @ short
        order = np.argpartition(bounds, _CANDIDATES)
        candidates = order[:_CANDIDATES]
        distances = np.square(self._bank[candidates] - query).sum(axis=1)
        best = np.argpartition(distances, count - 1)[:count]
        # The margin covers float32 rounding of the bounds.
        if distances[best].max() > bounds[order[_CANDIDATES]] - 1e-5 * (1 + short @ short):
            return self._nearest_of_all(query)
        return candidates[best]

    def _shorten(self, feature: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates along the principal axes, and the length of what they leave out, float32 (129,).

        Distances between such vectors are lower bounds: of what is left out, only lengths are compared.
        """
        offset = feature - self._centre
        along = self._axes @ offset
        rest = math.sqrt(max(0.0, float(offset @ offset - along @ along)))
        return np.append(along, np.float32(rest))

    def _nearest_of_all(self, query: NDArray[np.float32]) -> NDArray[np.intp]:
        """The K nearest by reading the whole bank."""
        # |x - b|^2 without |x|^2, which is the same for every b.
        distances = self._squares - 2 * (self._bank @ query)
        return np.argpartition(distances, self._neighbours - 1)[: self._neighbours]
