"""One line of the bench: what was compared, what came of it, what was wanted."""

import math
from typing import Any, Literal, NamedTuple

SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


class Goal(NamedTuple):
    """A figure and the bound it is held against.

    >>> goal = Goal("speed-up", 61.8, "≥", 50, "×")
    >>> goal.figure, goal.wanted, goal.holds
    ('61.8×', '≥ 50×', True)
    """

    what: str
    value: float | None  # None where it could not be told
    sign: Literal["≥", "≤"]
    bound: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure is within the bound."""
        if self.value is None:
            return False
        return bool(self.value >= self.bound if self.sign == "≥" else self.value <= self.bound)

    @property
    def figure(self) -> str:
        """The figure with its unit, as text."""
        return "–" if self.value is None else f"{_short(self.value)}{self.unit}"

    @property
    def wanted(self) -> str:
        """The bound with its unit, as text."""
        return f"{self.sign} {_short(self.bound)}{self.unit}"


class Row(NamedTuple):
    """Peer and ours, measured in turn in one run; medians of the repeats.

    goals : the first is the row's own figure, the others must hold beside it. spread : the first goal's figure at its
    lowest and highest over the single repeats.
    """

    of: str  # what the seconds are for: "a fit", "an option"
    n: str  # sizes of both sides, in words
    peer: str = ""  # empty where the goal is a figure of its own
    peer_seconds: float | None = None
    ours_seconds: float | None = None
    goals: tuple[Goal, ...] = ()
    repeats: int = 0
    spread: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    left_out: str = ""  # why there is no figure
    name: str = ""  # under which it is found in earlier runs

    @property
    def verdict(self) -> str:
        """`ok`, `short` of a goal, or `left out`."""
        if self.left_out:
            return "left out"
        return "ok" if self.goals and all(goal.holds for goal in self.goals) else "short"

    def as_json(self) -> dict[str, Any]:
        """Plain values, with what follows from them spelt out for a reader without this code."""
        goals = [
            {**goal._asdict(), "figure": goal.figure, "wanted": goal.wanted, "holds": goal.holds} for goal in self.goals
        ]
        texts = {
            "peer_time": duration(self.peer_seconds),
            "ours_time": duration(self.ours_seconds),
            "spread_text": " to ".join(map(_short, self.spread or ())),
            "verdict": self.verdict,
        }
        return {**self._asdict(), **texts, "goals": goals}


def finite(value: float) -> float | None:
    """The value as a plain float; None where it is no number."""
    return float(value) if math.isfinite(value) else None


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits them.

    >>> [duration(s) for s in (1.29, 0.0141, 7.2e-05, 5.8e-08, None)]
    ['1.29 s', '14.1 ms', '72 µs', '58 ns', '–']
    """
    if seconds is None:
        return "–"
    scale, unit = next((pair for pair in SCALES if seconds >= pair[0]), SCALES[-1])
    return f"{_short(seconds / scale)} {unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
