"""Out-of-sample streams with a known truth, for the gate."""

import datetime as dt

import numpy as np
import polars as pl
from toy_strategy import TASK

FIRST = dt.datetime(2015, 1, 2, 21, tzinfo=dt.UTC)
HOLDING_DAYS = 14


def stream(
    *,
    sessions: int = 200,
    symbols: int = 8,
    model_skill: float = 1.0,
    rule_skill: float = 1.0,
    mean: float = 0.1,
    seed: int = 0,
    holding_days: int = HOLDING_DAYS,
    calibrated: bool = True,
) -> pl.DataFrame:
    """Weekly predictions. Model and rule each see the signal in the outcome through a noise of their own.

    model_skill, rule_skill : weight of the signal against that noise; equal skills earn the same on average.
    """
    rng = np.random.default_rng(seed)
    n = sessions * symbols
    signal = rng.standard_normal(n)
    outcome = mean + 0.15 * signal + 0.2 * rng.standard_normal(n)
    label = np.digitize(outcome, TASK.edges)
    shares = np.bincount(label, minlength=3) / n
    p = shares if calibrated else np.array([0.9, 0.05, 0.05])
    week = np.repeat(np.arange(sessions), symbols)
    t0 = [FIRST + dt.timedelta(weeks=int(w)) for w in week]
    return pl.DataFrame(
        {
            "event_id": [f"e{i:06d}" for i in range(n)],
            "symbol": [f"S{i % symbols:02d}" for i in range(n)],
            "session": [t.date() for t in t0],
            "t0": t0,
            "t1": [t + dt.timedelta(days=holding_days) for t in t0],
            "t1_due": [t + dt.timedelta(days=holding_days) for t in t0],
            "signal": signal,
            "outcome": outcome,
            "label": label,
            "score": rule_skill * signal + rng.standard_normal(n),
            "expected": model_skill * signal + rng.standard_normal(n),
            "predicted": np.full(n, int(p.argmax())),
            **{f"p_{name}": np.full(n, p[i]) for i, name in enumerate(TASK.classes)},
            **{f"prior_{name}": np.full(n, shares[i]) for i, name in enumerate(TASK.classes)},
        }
    )


def champion_of(newest: pl.DataFrame, *, skill: float, seed: int = 99) -> pl.DataFrame:
    """How a champion of that skill predicts the same events."""
    noise = np.random.default_rng(seed).standard_normal(len(newest))
    return newest.with_columns(expected=skill * pl.col("signal") + noise)
