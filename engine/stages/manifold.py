"""Projection of features onto the manifold of features known from training (paper 3.1).

Locally linear embedding: a feature is rebuilt from its K nearest neighbours in a bank with weights that sum to
one, which brings the feature of an unheard voice to where the motion generator is at home. Source: Live Speech
Portraits (Lu et al. 2021), section 3.2; Roweis and Saul 2000 for the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.batching import Place, Request, Work, drive

_COARSE_WIDTH = 64
_CANDIDATES = 96
_PIECE = 200_000
"""Multiplications in one call; from 262144 on OpenBLAS takes several threads."""


@dataclass(frozen=True)
class ManifoldState:
    """Nothing: every feature is projected by itself."""


class Manifold:
    """Features to features near the bank. Pipelines that share one search it together (``engine.batching.Server``)."""

    lookahead_ticks = 0
    place = Place.MANIFOLD

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
        self._coarse = self._shorten(bank)
        self._coarse_squares = np.einsum("nw,nw->n", self._coarse, self._coarse)
        self._neighbours, self._strength, self._regularisation = neighbours, strength, regularisation

    def init_state(self) -> ManifoldState:
        """The empty state."""
        return ManifoldState()

    def step(self, x: NDArray[np.float32], state: ManifoldState) -> tuple[NDArray[np.float32], ManifoldState]:
        """Project features, float32 (n, width), each by itself; the same shape comes back."""
        return drive(self.work(x, state))

    def work(self, x: NDArray[np.float32], state: ManifoldState) -> Work[tuple[NDArray[np.float32], ManifoldState]]:
        """As ``step``, searching the bank with others."""
        if self._strength == 0:
            return x, state
        projected: NDArray[np.float32] = yield Request(self, x)
        return x + np.float32(self._strength) * (projected - x), state

    def answer(self, questions: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        """The projections of several features each, float32 (n, width)."""
        features = np.concatenate(questions)
        neighbours, weights = self.weights(features)
        projected = np.einsum("nk,nkw->nw", weights, self._bank[neighbours])
        return np.split(projected, np.cumsum([len(question) for question in questions])[:-1])

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
        neighbours = self._nearest(x)
        offsets = (self._bank[neighbours] - x[:, None]).astype(np.float64)
        gram = offsets @ offsets.transpose(0, 2, 1)
        diagonal = np.arange(count)
        trace = gram[:, diagonal, diagonal].sum(axis=1, keepdims=True)
        gram[:, diagonal, diagonal] += self._regularisation * trace + np.finfo(np.float32).tiny
        raw = np.linalg.solve(gram, np.ones((len(x), count, 1)))[..., 0]
        return neighbours, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)

    def _nearest(self, queries: NDArray[np.float32]) -> NDArray[np.intp]:
        """The K nearest of the bank, exactly, reading as little of it as possible: (n, K), in the bank's order.

        The bank is larger than a core's cache, so a search costs what it reads. Distances along the bank's
        principal axes are lower bounds of the true ones and an eighth to read, once for all queries: the closest by
        them are measured in full, and where their K nearest beat the bound of all others, nothing else can be nearer.
        """
        if len(self._bank) <= _CANDIDATES:
            return np.stack([np.sort(self._nearest_of_all(query)) for query in queries])
        short = self._shorten(queries)
        lengths = np.einsum("nw,nw->n", short, short)
        bounds = self._coarse_squares - 2 * self._products(short) + lengths[:, None]
        order = np.argpartition(bounds, _CANDIDATES, axis=1)
        found = np.empty((len(queries), self._neighbours), np.intp)
        # Row by row from here on: the candidates of one query fit into a core's cache, those of all do not.
        for row, query in enumerate(queries):
            candidates = order[row, :_CANDIDATES]
            offsets = self._bank[candidates] - query
            distances = np.einsum("nw,nw->n", offsets, offsets)
            best = np.argpartition(distances, self._neighbours - 1)[: self._neighbours]
            # The margin covers float32 rounding of the bounds.
            unsure = distances[best].max() > bounds[row, order[row, _CANDIDATES]] - 1e-5 * (1 + lengths[row])
            found[row] = np.sort(self._nearest_of_all(query) if unsure else candidates[best])
        return found

    def _products(self, short: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inner products of shortened features, (n, 65), with the whole bank: float32 (n, N).

        In pieces that BLAS computes on the calling thread: its own threads would wait for the next call spinning, and
        take a core from the renderer for it.
        """
        products = np.empty((len(short), len(self._coarse)), np.float32)
        piece = max(1, _PIECE // short.size)
        for begin in range(0, len(self._coarse), piece):
            np.matmul(short, self._coarse[begin : begin + piece].T, out=products[:, begin : begin + piece])
        return products

    def _shorten(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates along the principal axes, and the length of what they leave out, float32 (n, 65).

        Distances between such vectors are lower bounds: of what is left out, only lengths are compared.
        """
        offsets = features - self._centre
        along = offsets @ self._axes.T
        rest = np.einsum("nw,nw->n", offsets, offsets) - np.einsum("nw,nw->n", along, along)
        return np.column_stack([along, np.sqrt(np.maximum(rest, 0))])

    def _nearest_of_all(self, query: NDArray[np.float32]) -> NDArray[np.intp]:
        """The K nearest by reading the whole bank."""
        # |x - b|^2 without |x|^2, which is the same for every b.
        # BLAS would share this between threads, for which the one that computes live motion must not wait.
        distances = self._squares - 2 * np.einsum("nw,w->n", self._bank, query)
        return np.argpartition(distances, self._neighbours - 1)[: self._neighbours]
