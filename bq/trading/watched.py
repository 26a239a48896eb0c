"""How often two simulated books are told apart by who looks every day: rightly where one is better, else never."""

from typing import NamedTuple

import numpy as np

from bq.simulate.books import Law, books
from bq.stats import paired
from bq.trading.comparison import ALPHA

SEED = 20260501
YEARS = 12
SESSIONS = 252 * YEARS


class Watched(NamedTuple):
    """What was seen of so many histories."""

    histories: int
    apart: int  # told apart on any day
    upper: float  # 95% upper bound of their share
    wrongly: int  # the second called better
    sessions: float  # median of those that were told apart, until then; NaN: none was
    effect: float  # mean difference of five sessions in its standard deviations, over all histories
    overlap: float  # mean share of the first's trades that are the second's too
    sharpe: float  # mean annual ratio of the first
    widened: int  # histories whose blocks were doubled at the end


def watch(law: Law, *, histories: int, sessions: int = SESSIONS, seed: int = SEED) -> Watched:
    """Look every day at histories of two books, with the seeds from `seed` on."""
    from scipy.special import betaincinv

    first: list[int] = []
    signs, effects, overlaps, ratios, widened = 0, [], [], [], 0
    for number in range(histories):
        made = books(law, sessions=sessions, seed=seed + number)
        apart = made.first - made.second
        blocks = paired.blocks(apart, paired.SESSIONS)
        effects.append((blocks.mean(), blocks.var(ddof=1)))
        overlaps.append(made.overlap)
        ratios.append(made.first.mean() / made.first.std() * np.sqrt(252))
        widened += paired.look(apart, alpha=ALPHA).sessions > paired.SESSIONS
        seen = paired.first_apart(apart, alpha=ALPHA)
        if seen is not None:
            first.append(seen)
            signs += paired.look(apart[:seen], alpha=ALPHA).apart < 0
    mean, variance = np.array(effects).mean(axis=0)
    upper = float(betaincinv(len(first) + 1, histories - len(first), 0.95)) if len(first) < histories else 1.0
    return Watched(
        histories=histories,
        apart=len(first),
        upper=upper,
        wrongly=signs,
        sessions=float(np.median(first)) if first else np.nan,
        effect=float(mean / np.sqrt(variance)),
        overlap=float(np.mean(overlaps)),
        sharpe=float(np.mean(ratios)),
        widened=widened,
    )
