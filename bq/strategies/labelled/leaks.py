"""Columns that know the answer, or are the rule score: refused as features, by their names and by their values."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from bq.core.scalars import number_or_none

LIMIT = 0.95  # of a rank correlation; no honest feature comes near
LEAST = 50  # rows, and of the rarer of two values or of missing ones 10: fewer say nothing
RARER = 10
OPEN = 10  # open events that a column must be missing in to be one that only an outcome fills
KNOWN_LATER = {
    *("outcome", "label", "target", "realised", "realized", "actual", "result", "pnl", "profit", "loss", "roi", "win"),
    *(
        "won",
        "entry",
        "exit",
        "exited",
        "closed",
        "future",
        "fwd",
        "forward",
        "next",
        "lead",
        "ahead",
        "payoff",
        "mfe",
        "mae",
    ),
    *("t1", "y", "settlement", "expired", "landed"),
}
SCORES = {"score", "rating"}
OF_THE_RULE = "it is the rule score, which a model must not see: it is judged against it"


def by_name(name: str, later: Iterable[str] = ()) -> str:
    """Why a column of that name is refused; empty where the name says nothing. later : names that are known to be.

    >>> by_name("exit_price"), by_name("skew_10d")
    ('its name says that it is known only after t0 (exit)', '')
    """
    words = [word for word in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()) if word]
    found = [name] if name in later else [word for word in words if word in KNOWN_LATER]
    if found:
        return f"its name says that it is known only after t0 ({', '.join(found)})"
    return "its name says that it is a rule score" if SCORES & set(words) else ""


def by_values(rows: pl.DataFrame, names: Iterable[str]) -> dict[str, str]:
    """The columns whose values know the outcome or are the rule score, each with why.

    rows : session, outcome, score and the columns, numbers with null where missing. Tested against the outcome: the
    order of the rows (Goodman and Kruskal's gamma, which a step function of it drives to 1 as well), the linear and
    the rank correlation, over all rows and within sessions, and whether a value is missing at all; then whether it is
    missing in exactly the open events. Against the score: whether it orders all rows the same.
    """
    found = {}
    for name in names:
        reason = answers(rows, name) or _filled_later(rows, name) or _is_the_score(rows, name)
        if reason:
            found[name] = reason
    return found


def answers(rows: pl.DataFrame, name: str) -> str:
    """What of a column's values knows the outcome; empty where nothing does."""
    closed = rows.filter(pl.col("outcome").is_not_null())
    known = closed.select("session", "outcome", x=name).drop_nulls("x")
    missing = closed.select("outcome", x=pl.col(name).is_null().cast(pl.Float64))
    if _varies(missing["x"]) and (order := _gamma(missing["x"], missing["outcome"])) >= LIMIT:
        return f"it is missing where the outcome is high or low (order of the rows {order:.2f})"
    if len(known) < LEAST or not _varies(known["x"]):
        return ""
    measures = {
        "it orders the events as their outcomes do": _gamma(known["x"], known["outcome"]),
        "its correlation with the outcome is": _correlation(known),
        "its rank correlation with the outcome is": _correlation(known.with_columns(pl.col("x", "outcome").rank())),
        **_within(known),
    }
    what, value = max(measures.items(), key=lambda one: one[1])
    return f"{what} ({value:.2f})" if value > LIMIT else ""


def _within(known: pl.DataFrame) -> Mapping[str, float]:
    """The same of the deviations from a session's mean, of sessions with three events or more."""
    inside = known.filter(pl.len().over("session") >= 3)
    if len(inside) < LEAST:
        return {}
    own = pl.col("x", "outcome")
    ranks = inside.with_columns(own.rank().over("session"))
    centred = {"": inside, "rank ": ranks}
    return {
        f"within a session its {kind}correlation with the outcome is": _correlation(
            frame.with_columns(own - own.mean().over("session"))
        )
        for kind, frame in centred.items()
    }


def _filled_later(rows: pl.DataFrame, name: str) -> str:
    """Whether a column is there in closed events and missing in all open ones."""
    is_open, missing = rows["outcome"].is_null(), rows[name].is_null()
    if is_open.sum() < OPEN or not missing.filter(is_open).all() or missing.filter(~is_open).sum() > 0.5 * len(rows):
        return ""
    return f"it is missing in all {is_open.sum()} open events: it is known only when they end"


def _is_the_score(rows: pl.DataFrame, name: str) -> str:
    both = rows.select("score", x=name).drop_nulls()
    if len(both) < LEAST or not _varies(both["x"]) or both["x"].n_unique() < 0.5 * both["score"].n_unique():
        return ""
    return OF_THE_RULE if _gamma(both["x"], both["score"]) > 0.999 else ""


def _varies(values: pl.Series) -> bool:
    """Whether two values or more are there often enough to say something."""
    counts = values.value_counts(sort=True)["count"]
    return len(counts) > 1 and len(values) - int(counts[0]) >= RARER


def _correlation(frame: pl.DataFrame) -> float:
    value = number_or_none(frame.select(pl.corr("x", "outcome")).item())
    return abs(value) if value is not None and np.isfinite(value) else 0.0


def _gamma(x: pl.Series, y: pl.Series) -> float:
    """Size of Goodman and Kruskal's gamma: of the pairs that differ in both, those ordered alike less the others.

    By pairs at many distances in the order of rows, 200 a row and of at most 20,000 rows: enough for a limit.
    """
    every = -(-len(x) // 20_000)
    a, b = x.gather_every(every).to_numpy(), y.gather_every(every).to_numpy()
    n, alike, all_pairs = len(a), 0.0, 0.0
    for step in np.unique(np.linspace(1, n - 1, min(200, n - 1)).astype(int)):
        signs = np.sign(a[step:] - a[:-step]) * np.sign(b[step:] - b[:-step])
        alike, all_pairs = alike + signs.sum(), all_pairs + np.abs(signs).sum()
    return float(abs(alike) / all_pairs) if all_pairs else 0.0
