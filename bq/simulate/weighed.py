"""Sessions of scored events whose law is known: which component of a score pays depends on a regime that can be seen.

In regime 0 the first component raises what an event earns and the third lowers it, in regime 1 the other way round; a
session's mark shows the regime, with noise. Constant weights earn about nothing over both. With strength 0 nothing
pays, and no weights are better than others.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 4
SPREAD = 100.0 / np.sqrt(12.0)  # standard deviation of a component, uniform from 0 to 100

Array = NDArray[np.float64]


class Weighed(NamedTuple):
    """Arrays over sessions and events."""

    components: Array  # (n_sessions, n_events, 4), 0 to 100
    outcome: Array  # (n_sessions, n_events), standard deviation about 1
    mark: Array  # (n_sessions,) 1 or -1 by the regime, with noise
    regime: NDArray[np.int64]  # (n_sessions,) 0 or 1: the truth


def weighed(
    sessions: int, *, events: int = 20, strength: float = 0.2, stay: float = 60.0, noise: float = 0.5, seed: int
) -> Weighed:
    """Simulate.

    strength : change of the outcome's mean with a component's standard deviation, against a noise of 1. stay : mean
    sessions of a regime. noise : standard deviation of the mark's. All draws of two strengths with one seed are equal.
    """
    rng = np.random.default_rng(seed)
    turns = rng.random(sessions) < 1.0 / stay
    regime = (int(rng.integers(2)) + turns.cumsum()) % 2
    components = rng.uniform(0.0, 100.0, (sessions, events, COMPONENTS))
    side = np.where(regime == 0, 1.0, -1.0)
    pays = side[:, None] * (components[..., 0] - components[..., 2]) / SPREAD
    outcome = strength * pays + rng.standard_normal((sessions, events))
    return Weighed(components, outcome, side + noise * rng.standard_normal(sessions), regime)
