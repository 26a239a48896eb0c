"""The ledger of looks: every training whose out-of-sample result was shown, with that result session by session.

A gate attempt is a look, and so is each trial of a tuning, each model shown beside a candidate, and a training by hand.
The best of many is judged against the best that as many without skill would show. Looks of a strategy count wherever
they overlap in time and symbols, whatever the name of the parameter file. Entries are only added (`bq.serving.chain`).
"""

import datetime as dt
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import sqlalchemy as sa

from bq.core import db, secrets
from bq.core.namespace import Namespace
from bq.core.numerals import decimal, with_sign
from bq.runs.record import Standing
from bq.serving import chain
from bq.stats import overfitting, sharpe

GATE = "gate"  # the kind of look that an attempt is: a retrain that asked the gate
LOOK = "look"  # a training whose result was shown without it; a trial of a tuning has the name of its target
SHOWN = (GATE, LOOK)

attempts = sa.Table(  # every retrain, whatever came of it
    "attempts",
    db.metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # ascending in time, whatever the clock says
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("namespace", sa.String, nullable=False, index=True),
    sa.Column("finished_utc", db.UTC, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),  # of data, parameters and code
    sa.Column("decision", sa.String, nullable=False),  # deployed, kept, failed
    sa.Column("model_id", sa.String),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
    sa.Column("state", sa.JSON(none_as_null=True)),  # monitoring.triggers.State; null: recorded without
    sa.UniqueConstraint("run_id"),
)

looks = sa.Table(
    "looks",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False, index=True),
    sa.Column("name", sa.String, nullable=False),  # of the namespace
    sa.Column("simulated", sa.Boolean, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("study", sa.String, nullable=False, index=True),  # the run, the tuning, or the looking by hand
    sa.Column("number", sa.Integer, nullable=False),  # within it
    sa.Column("at_utc", db.UTC, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("symbols", sa.JSON(none_as_null=True)),  # null: not known (version 0.1)
    sa.Column("series", sa.LargeBinary, nullable=False),  # Arrow IPC: session, value, and what SERIES names beside it
    sa.Column("recipe", sa.String),  # digest of the way of training; null: not known, as the next two
    sa.Column("events", sa.String),  # digest of the events
    sa.Column("shown", sa.JSON(none_as_null=True)),  # the figures
    sa.Column("digest", sa.String),  # see `bq.serving.chain`; null: before the chain
)

chain_head = sa.Table(  # one row: how far the chain goes
    "chain_head",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
)

FACTS = [column for column in looks.columns if column.name != "series"]  # all of a look but what is large
SERIES = ("value", "baseline", "everything")  # what its decisions earned, the rule score's, and taking every event


class Look(NamedTuple):
    """One training or configuration, and its result out of sample."""

    kind: str
    study: str  # the run or the study it belongs to
    number: int  # within the study
    parameters: dict[str, Any]
    series: pl.DataFrame  # session, value: net result of each session; where known also baseline and everything
    symbols: Collection[str]  # traded
    recipe: str | None = None  # digest of the way of training
    events: str | None = None  # digest of the events
    shown: Mapping[str, float | None] | None = None  # figures


class Held(NamedTuple):
    """How many looks at a strategy's results the ledger holds, the time of the first, and how many are of one study."""

    looks: int
    since: dt.datetime | None
    own: int


class Deflated(NamedTuple):
    """Probability of a Sharpe ratio, deflated by the looks at the same time and symbols."""

    probability: float  # that the true ratio exceeds the best of as many looks without skill
    revised: float  # the same by the revision of 2025, which allows for autocorrelation
    undeflated: float  # that it exceeds 0
    sharpe: float  # per session
    attempts: int  # earlier gate attempts
    tuned: int  # trials of tunings
    trials: int  # different ones: groups of all of these and this one that move together
    sessions: int
    needed: float  # sessions of such results for a probability of `least`; inf where no number of them is enough
    looks: int = 0  # further ones: quick, by hand, beside a candidate

    def __str__(self) -> str:
        tried = "no earlier look at these sessions"
        if self.attempts + self.tuned + self.looks:
            counts = {"gate attempt": self.attempts, "further look": self.looks, "tuning trial": self.tuned}
            *first, last = [_counted(number, what) for what, number in counts.items() if number]
            counted = f"{', '.join(first)} and {last}" if first else last
            tried = f"deflated for {counted} ({self.trials} effectively distinct)"
        return (
            f"probability {decimal(self.probability)} (2025 revision {decimal(self.revised)}, undeflated "
            f"{decimal(self.undeflated)}); Sharpe ratio {with_sign(self.sharpe)} per session over {self.sessions} "
            f"sessions, {tried}"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def attempt(namespace: Namespace, **row: Any) -> None:
    """Record an attempt by the columns of its table; it gets the next number."""
    with db.engine().begin() as connection:
        connection.execute(attempts.insert().values(namespace=str(namespace), **row))


def every_attempt() -> list[dict[str, Any]]:
    """The attempts of all namespaces, in time order."""
    with db.engine().connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(attempts).order_by(attempts.c.number)).mappings()]


def last_attempt(namespace: Namespace) -> dict[str, Any] | None:
    """The newest attempt of a namespace."""
    of = attempts.c.namespace == str(namespace)
    with db.engine().connect() as connection:
        query = sa.select(attempts).where(of).order_by(attempts.c.number.desc()).limit(1)
        row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def record(namespace: Namespace, made: Sequence[Look]) -> None:
    """Add looks. One that is there already, with the same result, is not added again.

    Of two entries of the same namespace, kind, study and number the later one counts.
    """
    with db.engine().begin() as connection:
        connection.execute(chain_head.update().values(entries=chain_head.c.entries))  # one process adds at a time
        head = _head(connection)
        entries, before = (head.entries, head.digest) if head else (0, "")
        before = before or chain.beginning(_rows(connection))
        for look in made:
            row = _row(namespace, look)
            if _known(connection, row):
                continue
            row["digest"] = before = chain.link(before, row)
            connection.execute(looks.insert().values(**row))
            entries += 1
        connection.execute(chain_head.update().values(entries=entries, digest=before if entries else ""))


def _row(namespace: Namespace, look: Look) -> dict[str, Any]:
    row = {
        **{"strategy": namespace.strategy, "name": namespace.name},
        **{"simulated": namespace.simulated, "tier": namespace.tier.value},
        **{"kind": look.kind, "study": look.study, "number": look.number},
        **{"at_utc": dt.datetime.now(dt.UTC), "parameters": look.parameters, "symbols": sorted(look.symbols)},
        **{"recipe": look.recipe, "events": look.events, "shown": look.shown},
    }
    return secrets.redacted(row)[0] | {"series": _packed(look.series)}


def _known(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    """Whether the newest entry of a look's key says the same already."""
    key = ("strategy", "name", "simulated", "tier", "kind", "study", "number")
    query = sa.select(looks).where(*(looks.c[name] == row[name] for name in key)).order_by(looks.c.id.desc()).limit(1)
    found = connection.execute(query).mappings().first()
    return found is not None and chain.content(dict(found)) == chain.content(row)


def _rows(connection: sa.Connection, *conditions: Any) -> list[dict[str, Any]]:
    rows = connection.execute(sa.select(looks).where(*conditions).order_by(looks.c.id)).mappings()
    return [dict(row) for row in rows]


def _head(connection: sa.Connection) -> Standing | None:
    row = connection.execute(sa.select(chain_head)).mappings().first()
    return Standing(entries=row["entries"], digest=row["digest"]) if row else None


def standing() -> Standing:
    """How far the chain goes."""
    with db.engine().connect() as connection:
        return _head(connection) or Standing(entries=0, digest="")


def until(study: str) -> list[dict[str, Any]]:
    """The entries before the first of a run, whole; all where it has none."""
    with db.engine().connect() as connection:
        first = connection.execute(sa.select(sa.func.min(looks.c.id)).where(looks.c.study == study)).scalar()
        return _rows(connection, *([] if first is None else [looks.c.id < first]))


def copied(rows: Sequence[Mapping[str, Any]]) -> None:
    """Put entries, as from `until`, into an empty ledger: that of another world, as this one was then."""
    chained = [row["digest"] for row in rows if row["digest"] is not None]
    with db.engine().begin() as connection:
        if rows:
            connection.execute(looks.insert(), [dict(row) for row in rows])
        connection.execute(chain_head.update().values(entries=len(chained), digest=chained[-1] if chained else ""))


def count() -> int:
    """Entries, also those before the chain and those that later ones correct."""
    with db.engine().connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(looks)).scalar_one()


def faults() -> list[str]:
    """Where entries were edited, deleted or moved, a sentence each; empty where none was."""
    with db.engine().connect() as connection:
        return list(chain.faults(_rows(connection), _head(connection)))


def digests() -> list[str]:
    """The digests of the chained entries, in their order."""
    query = sa.select(looks.c.digest).where(looks.c.digest.is_not(None)).order_by(looks.c.id)
    with db.engine().connect() as connection:
        return list(connection.execute(query).scalars())


def of_gates() -> set[str]:
    """The runs whose gate attempts are in the ledger."""
    with db.engine().connect() as connection:
        return set(connection.execute(sa.select(looks.c.study).where(looks.c.kind == GATE)).scalars())


def listed() -> list[dict[str, Any]]:
    """Every look but for its series, in time order; what a later entry corrects is left out."""
    with db.engine().connect() as connection:
        rows = connection.execute(sa.select(*FACTS).order_by(looks.c.id)).mappings()
        return [dict(row) for row in _latest(rows)]


def held(namespace: Namespace, study: str = "") -> Held:
    """The looks at a strategy's results on real markets, or on simulated ones, of both tiers and under every name."""
    whose = (namespace.strategy, namespace.simulated)
    found = [row for row in listed() if (row["strategy"], row["simulated"]) == whose]
    own = sum(row["study"] == study for row in found)
    return Held(len(found), min((row["at_utc"] for row in found), default=None), own)


def _latest(rows: Collection[Mapping[str, Any]] | Any) -> list[Mapping[str, Any]]:
    """The last entry of each look, in order.

    A run's candidate is shown before the gate is asked, and again with its verdict: one look, of the gate.
    """
    found: dict[tuple, Mapping[str, Any]] = {}
    for row in rows:
        where = tuple(row[name] for name in ("strategy", "name", "simulated", "tier", "study"))
        alike = ("", row["recipe"]) if row["kind"] in SHOWN and row["recipe"] else (row["kind"], row["number"])
        found.pop((*where, *alike), None)
        found[*where, *alike] = row
    return list(found.values())


def on(
    namespace: Namespace,
    sessions: pl.Series,
    symbols: Collection[str],
    *,
    without: str = "",
) -> pl.DataFrame:
    """Series of the looks at these sessions and symbols: session and one column a look, `<kind>/<study>/<number>`.

    Looks at the namespace's strategy and tier under every name; those at simulated markets count for a simulated
    namespace alone. A look without a session between the first and the last of `sessions`, or without a common symbol,
    is left out; one whose symbols are not known counts. without : a study left out, the one that is judged.

    Each of a look's values stands at the session nearest to its own: looks that trade the same time on other days (a
    rebalance in another phase) move together as far as their outcomes do, and are independent where those are. Null
    where a look has no value.
    """
    like = {"strategy": namespace.strategy, "simulated": namespace.simulated, "tier": namespace.tier.value}
    whole, asked = pl.DataFrame({"session": sessions.unique().sort()}), set(symbols)
    with db.engine().connect() as connection:
        rows = _rows(connection, *(looks.c[name] == value for name, value in like.items()))
    columns = []
    for row in _latest(rows):
        known = row["symbols"] is None or not asked.isdisjoint(row["symbols"])
        if known and row["study"] != without:
            values = _nearest(_series(row), whole["session"])
            if values is not None:
                columns.append(values.alias(f"{row['kind']}/{row['study']}/{row['number']}"))
    return whole.with_columns(columns)


def _series(row: Mapping[str, Any]) -> pl.DataFrame:
    """Session, value."""
    return pl.read_ipc(io.BytesIO(row["series"])).select("session", "value")


def _nearest(series: pl.DataFrame, sessions: pl.Series) -> pl.Series | None:
    """The values at the nearest of `sessions` (sorted), added up; None where none lies between the first and last."""
    inside = series.filter(pl.col("session").is_between(sessions.min(), sessions.max()))
    if inside.is_empty():
        return None
    days, own = (found.to_physical().to_numpy() for found in (sessions, inside["session"]))
    right = np.searchsorted(days, own)
    left = (right - 1).clip(min=0)
    nearest = np.where(own - days[left] < days[right] - own, left, right)
    values = inside["value"].to_numpy()
    known, n = np.isfinite(values), len(days)
    counts, sums = (np.bincount(nearest[known], weights=of, minlength=n) for of in (None, values[known]))
    return pl.Series(np.where(counts > 0, sums, np.nan)).fill_nan(None)


def deflate(own: pl.DataFrame, trials: pl.DataFrame, *, least: float) -> Deflated:
    """The Sharpe ratio of a series against those of the looks before it.

    own : session, value; a session without a decision earned 0. Any series of sessions: what decisions earned, or
    their uplift. trials : as from `on`, of the same kind of series. least : the required probability. Raises BadData
    where the ratio does not exist.

    The benchmark is the higher of two expected maxima without skill: that of the tunings' effective trials, by the
    spread of their ratios, and that of all looks, by how their returns correlate (`overfitting.expected_best`).
    Training the same recipe again costs nothing, a changed recipe costs as much as it differs, and no further attempt
    or look ever raises the probability: the revision's smaller variance of a maximum comes from the tunings' effective
    trials alone, and its variance under the hypothesis is taken where it is hardest to reject (`sharpe.deflated`).
    """
    track = sharpe.track(own["value"].fill_null(0.0).to_numpy())
    earlier = own.select("session").join(trials, on="session", how="left", maintain_order="left").drop("session")
    matrix = np.column_stack([own["value"].fill_null(0.0), *(column.fill_null(0.0) for column in earlier)])
    kinds = [name.partition("/")[0] for name in earlier.columns]
    tuned = [kind not in SHOWN for kind in kinds]
    found, floor = overfitting.effective_trials(matrix[:, [True, *tuned]]), overfitting.expected_best(matrix)
    probability = sharpe.deflated(track, trials=found, floor=floor)
    best = max(sharpe.expected_maximum(found), floor)
    return Deflated(
        probability=probability.published,
        revised=probability.revised,
        undeflated=sharpe.probabilistic(track).published,
        sharpe=track.sharpe_per_period,
        attempts=kinds.count(GATE),
        tuned=sum(tuned),
        trials=overfitting.distinct_trials(matrix).shape[1],
        sessions=track.n,
        needed=max(sharpe.minimum_track_record(track, benchmark=best, alpha=1.0 - least)),
        looks=kinds.count(LOOK),
    )


def _packed(series: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    series.select("session", *(name for name in SERIES if name in series.columns)).write_ipc(target, compression="zstd")
    return target.getvalue()
