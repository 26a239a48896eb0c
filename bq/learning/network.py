"""A small network of rectified layers in plain NumPy: the values that a policy gives to its actions."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Network(NamedTuple):
    """Weights (n_in, n_out) and biases (n_out,) of each layer; all layers but the last are rectified."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @classmethod
    def new(cls, sizes: Sequence[int], rng: np.random.Generator) -> Self:
        """A float32 network, all of it uniform between ±1 / √n_in (LeCun et al. 1998, doi:10.1007/3-540-49430-8_2)."""
        pairs = list(itertools.pairwise(sizes))

        def uniform(n_in: int, *shape: int) -> Array:
            return rng.uniform(-(n_in**-0.5), n_in**-0.5, shape).astype(np.float32)

        return cls(tuple(uniform(a, a, b) for a, b in pairs), tuple(uniform(a, b) for a, b in pairs))

    @classmethod
    def mean_of(cls, networks: Sequence[Self]) -> Self:
        """One network whose values are the mean of those of several of one shape: their layers side by side.

        >>> rng = np.random.default_rng(0)
        >>> several, x = [Network.new((3, 4, 2), rng) for _ in range(3)], rng.normal(size=(5, 3))
        >>> mean = np.mean([one.values(x) for one in several], axis=0)
        >>> np.allclose(Network.mean_of(several).values(x), mean, atol=1e-6)
        True
        """
        layers = list(zip(*(one.weights for one in networks), strict=True))
        biases = [np.concatenate(of) for of in zip(*(one.biases for one in networks), strict=True)]
        last = len(layers) - 1
        if last == 0:
            return cls((np.mean(layers[0], axis=0),), (np.mean([one.biases[0] for one in networks], axis=0),))
        weights = [np.hstack(layers[0]), *map(_diagonal, layers[1:last]), np.vstack(layers[last]) / len(networks)]
        biases[last] = np.mean([one.biases[last] for one in networks], axis=0)
        return cls(tuple(weights), tuple(biases))

    def values(self, x: NDArray) -> Array:
        """The last layer's values for each row of `x`, shape (n_rows, n_out)."""
        for weights, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weights + bias, 0.0)
        return x @ self.weights[-1] + self.biases[-1]


def _diagonal(blocks: Sequence[Array]) -> Array:
    """The matrices along a diagonal, zero elsewhere."""
    from scipy.linalg import block_diag

    return block_diag(*blocks)
