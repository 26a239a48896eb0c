"""Drift of what goes into a model and comes out of it: windows of decided sessions against the model's reference.

Windows follow each other and share no session, so that each is one check however often it is looked at: the newest
whole one stands until the next is whole.
"""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.scalars import day, number
from bq.monitoring.checks import Check, What
from bq.monitoring.reference import Reference
from bq.serving import support
from bq.stats import blocks, multiple, shift
from bq.stats.bootstrap import bootstrap_mean
from bq.stats.shift import Sample, Shift
from bq.stats.year import DAYS_A_MONTH, DAYS_A_YEAR

SESSIONS = 21  # decided ones in a window: about a month of daily scans
ALARMS_A_YEAR = 0.25  # false alarms that each kind of check may raise a year where nothing has changed
LEAST_WINDOWS = 5  # in a model's own predictions before it was deployed
ALPHA, DRAWS, SEED = 0.025, 2000, 0
FEATURES = pl.Schema(  # of each feature in the newest window
    {
        "feature": pl.String,
        "psi": pl.Float64,
        "psi_limit": pl.Float64,
        "ks": pl.Float64,
        "distance": pl.Float64,  # Wasserstein's, in standard deviations of the reference
        "missing": pl.Float64,  # share
        "missing_before": pl.Float64,
        "outside": pl.Float64,  # share outside the training support
        "p": pl.Float64,
        "adjusted": pl.Float64,  # for all features of the window
        "block": pl.Int64,  # sessions of the reference in which chance was simulated
        "alarm": pl.Boolean,
    }
)


class Window(NamedTuple):
    """The newest whole window of a model's decisions."""

    decisions: pl.DataFrame  # of this model, as `outcomes.counted`
    all_tiers: pl.DataFrame  # every decision of these sessions
    first: dt.date
    last: dt.date
    a_year: float  # windows a year at the pace of these decisions

    @property
    def days(self) -> float:
        """Calendar days to the next window."""
        return DAYS_A_YEAR / self.a_year

    @property
    def level(self) -> float:
        """Of a check on it."""
        return multiple.level_of_a_check(alarms_a_year=ALARMS_A_YEAR, checks_a_year=self.a_year)


class About(NamedTuple):
    """What all checks of a model on a day have in common."""

    namespace: str
    day: dt.date
    model_id: str

    def check(self, what: What, n: int, **facts: object) -> Check:
        """A check of this day and model."""
        return Check(**self._asdict(), what=what, n=n, **facts)  # type: ignore[arg-type]


def newest(counted: pl.DataFrame, model_id: str) -> Window | None:
    """The newest whole window of a model's decisions out of sample; None before the first is whole."""
    own = counted.filter(pl.col("model_id") == model_id, ~pl.col("in_sample").fill_null(False))
    sessions = own["session"].unique().sort()
    count = len(sessions) // SESSIONS * SESSIONS
    if not count:
        return None
    first, last = day(sessions[count - SESSIONS]), day(sessions[count - 1])
    within = pl.col("session").is_between(first, last)
    gap = max((day(sessions[-1]) - day(sessions[0])).days / (len(sessions) - 1), 1.0)
    return Window(own.filter(within), counted.filter(within), first, last, DAYS_A_YEAR / (gap * SESSIONS))


def waiting(counted: pl.DataFrame, about: About) -> Check:
    """In the place of the checks of a window before the first one is whole: how many sessions there are of how many."""
    own = counted.filter(pl.col("model_id") == about.model_id, ~pl.col("in_sample").fill_null(False))
    details = {"sessions": own["session"].n_unique(), "needed": SESSIONS}
    return about.check(What.INPUT, len(own), details=details)


def features(
    reference: Reference,
    window: Window,
    events: pl.DataFrame,
    about: About,
    *,
    known: dict[int, shift.Usual] | None = None,
) -> tuple[Check, pl.DataFrame]:
    """Whether the features of decided events are distributed as in the training, and FEATURES, the worst first.

    events : event_id, session and the model's features of the window's decisions. known : see `shift.compare`. The
    check's p is the smallest among the features, adjusted by Benjamini and Yekutieli, so that it holds for the whole
    window.
    """
    trained, now = reference.trained, reference.thinned(events).sort("session")
    x = now.select(pl.col(reference.columns).cast(pl.Float32).fill_null(np.nan)).to_numpy()
    edges = [np.array(reference.support[name]["edges"], np.float32) for name in reference.columns]
    before = _sample(reference.matrix(trained), trained["session"])
    found = _compare(before, _sample(x, now["session"]), edges, trained, window, known)
    low, high = (np.array([_end(reference, name, end) for name in reference.columns]) for end in ("low", "high"))
    table = _table(reference.columns, found, ((x < low) | (x > high)).mean(axis=0), window.level)
    worst = table.row(0, named=True)
    check = about.check(
        What.INPUT,
        len(now),
        blocks=int(window.decisions["session"].n_unique() // max(worst["block"], 1)) or 1,
        value=worst["psi"],
        threshold=worst["psi_limit"],
        p=worst["adjusted"],
        alarm=bool(table["alarm"].any()),
        details=_details(window, level=window.level)
        | {
            "drifted": table.filter("alarm")["feature"].to_list(),
            "unmatched": len(window.decisions) - len(events),
            "features": {row.pop("feature"): row for row in table.to_dicts()},
        },
    )
    return check, table


def predictions(reference: Reference, window: Window, about: About) -> list[Check]:
    """Whether expected outcomes and predicted classes are distributed as the model's own before it was deployed.

    These are of the newest window alone, which it was not trained on: with fewer than LEAST_WINDOWS windows in it
    there is no telling, and no value.
    """
    before = reference.answered
    days = _gap(before) if len(before) else 1.0
    enough = before["session"].n_unique() >= LEAST_WINDOWS * _worth(window, days)
    of = {What.LEVEL: pl.col("expected").cast(pl.Float32)}
    if reference.classes:
        places = {name: float(i) for i, name in enumerate(reference.classes)}
        of[What.OUTPUT] = pl.col("predicted_class").replace_strict(places, default=None, return_dtype=pl.Float32)
    if not enough:
        details = {"reference_sessions": before["session"].n_unique(), "windows_needed": LEAST_WINDOWS}
        return [about.check(what, len(window.decisions), details=details) for what in of]
    return [_predicted(what, column, reference, window, about) for what, column in of.items()]


def _predicted(what: What, column: pl.Expr, reference: Reference, window: Window, about: About) -> Check:
    before, now = reference.answered, reference.thinned(window.decisions).sort("session")
    old, new = (rows.select(column.fill_null(np.nan)).to_numpy() for rows in (before, now))
    if what == What.LEVEL:
        edges = np.unique(np.nanquantile(old, np.arange(1, support.BINS) / support.BINS).astype(np.float32))
        facts: dict[str, object] = {"mean": float(np.nanmean(new)), "before": float(np.nanmean(old))}
    else:
        edges = np.arange(len(reference.classes) - 1, dtype=np.float32)
        facts = {"classes": {name: number((now["predicted_class"] == name).mean()) for name in reference.classes}}
    found = _compare(_sample(old, before["session"]), _sample(new, now["session"]), [edges], before, window)
    return about.check(
        what,
        len(now),
        blocks=max(window.decisions["session"].n_unique() // int(found.block[0]), 1),
        value=float(found.psi[0]),
        threshold=float(found.psi_limit[0]),
        p=float(found.p[0]),
        alarm=bool(found.p[0] <= window.level),
        details=_details(window, level=window.level) | facts,
    )


def shares(window: Window, about: About, *, tiers: bool) -> list[Check]:
    """The share of events outside the training support, and of decisions that another tier had to make.

    Both are an alarm above `support.ALERT_ABOVE`, a convention and no test: decisions then rest on little.

    tiers : whether other tiers are counted: of the second, which decides where the champion does not, they say nothing.
    """
    outside = window.decisions.select("session", value=pl.col("outside_support").list.len().fill_null(0) > 0)
    others = window.all_tiers.select("session", value=pl.col("model_id").ne_missing(about.model_id))
    found = [_share(What.SUPPORT, outside, window, about)]
    return [*found, _share(What.TIER, others, window, about)] if tiers else found


def _share(what: What, rows: pl.DataFrame, window: Window, about: About) -> Check:
    by_session = rows.group_by("session").agg(pl.col("value").mean()).sort("session")["value"].to_numpy()
    found = bootstrap_mean(by_session, block=blocks.block_length(_held(window)), alpha=ALPHA, draws=DRAWS, seed=SEED)
    low, high = found.ends
    return about.check(
        what,
        len(rows),
        blocks=int(found.blocks),
        value=number(rows["value"].mean()),
        low=low,
        high=high,
        threshold=support.ALERT_ABOVE,
        alarm=number(rows["value"].mean()) > support.ALERT_ABOVE,
        details=_details(window),
    )


def _held(window: Window) -> pl.DataFrame:
    return window.decisions.select("session", "t0", t1="t1_due")


def _details(window: Window, *, level: float | None = None) -> dict[str, object]:
    """The window, and how long it takes: a change is seen when the window that holds it is whole."""
    details: dict[str, object] = {
        "first": str(window.first),
        "last": str(window.last),
        "sessions": window.decisions["session"].n_unique(),
        "months": window.days / DAYS_A_MONTH,
    }
    return details if level is None else details | {"level": level, "false_alarms_a_year": level * window.a_year}


def _sample(x: NDArray[np.float32], sessions: pl.Series) -> Sample:
    return Sample(np.asarray(x, np.float32), (sessions.rank("dense") - 1).to_numpy().astype(np.int64))


def _compare(
    before: Sample,
    now: Sample,
    edges: list[NDArray[np.float32]],
    reference: pl.DataFrame,
    window: Window,
    known: dict[int, shift.Usual] | None = None,
) -> Shift:
    """The window is worth the sessions that the reference had in as many days, and no more than it has itself."""
    return shift.compare(
        before,
        now,
        edges=edges,
        least_block=blocks.block_length(reference.drop_nulls("t1")),
        alpha=window.level,
        seed=SEED,
        window=_worth(window, _gap(reference)),
        known=known,
    )


def _gap(rows: pl.DataFrame) -> float:
    """Calendar days from a session to the next, on average, 1 at least."""
    span = (day(rows["session"].max()) - day(rows["session"].min())).days
    return max(span / max(rows["session"].n_unique() - 1, 1), 1.0)


def _worth(window: Window, days: float) -> int:
    """Sessions of a reference with so many days between them that a window is worth: no more than it has itself."""
    return min(max(round(window.days / days), 1), window.decisions["session"].n_unique())


def _end(reference: Reference, name: str, end: str) -> float:
    found = reference.support[name][end]
    return np.nan if found is None else float(found)


def _table(columns: tuple[str, ...], found: Shift, outside: NDArray, level: float) -> pl.DataFrame:
    from scipy.stats import false_discovery_control

    adjusted = false_discovery_control(found.p, method="by")
    arrays = found._asdict() | {"outside": outside, "adjusted": adjusted, "alarm": adjusted <= level}
    table = pl.DataFrame({"feature": list(columns), **arrays})
    return table.select(list(FEATURES)).cast(FEATURES).sort("p", "psi", descending=[False, True])


def weekly(reference: Reference, events: pl.DataFrame) -> pl.DataFrame:
    """PSI of each feature by week against the frozen bins: feature, week (its Monday), psi, n. No test.

    events : session and the model's features of decided events.
    """
    rows = []
    for (week,), part in reference.thinned(events).group_by(pl.col("session").dt.truncate("1w"), maintain_order=True):
        for name in reference.columns:
            known = reference.support[name]
            column = part[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
            counts = shift.binned(column, np.array(known["edges"], np.float32))
            before = [*known["counts"], known["missing"]]
            rows.append((name, week, float(shift.psi(before, counts)), len(part)))
    return pl.DataFrame(
        rows, schema={"feature": pl.String, "week": pl.Date, "psi": pl.Float64, "n": pl.Int64}, orient="row"
    )


def multiples(weekly: pl.DataFrame) -> pl.DataFrame:
    """PSI by week with the column `multiple`: of its mean without a shift, (bins - 1) / n of a large reference."""
    return weekly.with_columns(multiple=pl.col("psi") * pl.col("n") / (support.BINS - 1))


def worst(multiples: pl.DataFrame) -> pl.Series:
    """Features by the median of their multiples over the weeks, the largest first."""
    median = multiples.group_by("feature").agg(pl.col("multiple").median())
    return median.sort("multiple", "feature", descending=[True, False])["feature"]


def distributions(reference: Reference, events: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Shares of features in the frozen bins, in the training and now: feature, bin, low, high, before, now.

    low, high : edges of the bin, null where it is open; the last bin of each feature holds its missing values.
    """
    parts = []
    for name in names:
        known = reference.support[name]
        edges = known["edges"]
        column = events[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
        now, before = shift.binned(column, np.array(edges, np.float32)), np.array([*known["counts"], known["missing"]])
        parts.append(
            pl.DataFrame(
                {
                    "feature": name,
                    "bin": np.arange(len(now)),
                    "low": [None, *edges, None],
                    "high": [*edges, None, None],
                    "before": before / before.sum(),
                    "now": now / max(now.sum(), 1),
                },
                schema_overrides={"low": pl.Float64, "high": pl.Float64},
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame()
