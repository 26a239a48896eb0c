"""The trial ledger: every configuration whose result could have been chosen, with its result session by session.

A gate attempt is a trial, and so is each trial of a tuning. The best of many trials is judged against the best that as
many trials without skill would show. Trials of a strategy count wherever sessions and symbols overlap, whatever the
name of the parameter file.
"""

import datetime as dt
import io
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.core.namespace import Namespace
from bq.stats import overfitting, sharpe

GATE = "gate"  # the kind of trial that a retrain is; a tuning has the name of its target

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
    sa.UniqueConstraint("run_id"),
)

trials = sa.Table(  # every configuration whose result could have been chosen
    "trials",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False, index=True),
    sa.Column("name", sa.String, nullable=False),  # of the namespace
    sa.Column("simulated", sa.Boolean, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("study", sa.String, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at_utc", db.UTC, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("symbols", sa.JSON(none_as_null=True)),  # null: not known (version 0.1)
    sa.Column("series", sa.LargeBinary, nullable=False),  # Arrow IPC: session, value
    sa.UniqueConstraint("strategy", "name", "simulated", "tier", "kind", "study", "number"),
)


class Trial(NamedTuple):
    """One configuration and its result out of sample."""

    kind: str
    study: str  # the run or the study it belongs to
    number: int  # within the study
    parameters: dict[str, Any]
    series: pl.DataFrame  # session, value: net result of each session
    symbols: Collection[str]  # traded


class Deflated(NamedTuple):
    """Probability of a Sharpe ratio, deflated by the trials on the same sessions."""

    probability: float  # that the true ratio exceeds the best of as many trials without skill
    revised: float  # the same by the revision of 2025, which allows for autocorrelation
    undeflated: float  # that it exceeds 0
    sharpe: float  # per session
    attempts: int  # earlier gate attempts on these sessions
    tuned: int  # trials of tunings on these sessions
    trials: int  # different ones: groups of all of these and this one that move together
    sessions: int
    needed: float  # sessions of such results for a probability of `least`; inf where no number of them is enough

    def __str__(self) -> str:
        tried = "no earlier trial on these sessions"
        if self.attempts + self.tuned:
            counted = f"{_counted(self.attempts, 'gate attempt')} and {_counted(self.tuned, 'tuning trial')}"
            tried = f"deflated for {counted} ({self.trials} effectively distinct)"
        return (
            f"probability {self.probability:.3f} (2025 revision {self.revised:.3f}, undeflated {self.undeflated:.3f}); "
            f"Sharpe ratio {self.sharpe:+.3f} per session over {self.sessions} sessions, {tried}"
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


def of_gates() -> set[str]:
    """The runs whose gate attempts are among the trials."""
    with db.engine().connect() as connection:
        return set(connection.execute(sa.select(trials.c.study).where(trials.c.kind == GATE)).scalars())


def last_attempt(namespace: Namespace) -> dict[str, Any] | None:
    """The newest attempt of a namespace."""
    of = attempts.c.namespace == str(namespace)
    with db.engine().connect() as connection:
        query = sa.select(attempts).where(of).order_by(attempts.c.number.desc()).limit(1)
        row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def record(namespace: Namespace, made: Sequence[Trial]) -> None:
    """Write trials; one of the same namespace, kind, study and number is replaced."""
    now = dt.datetime.now(dt.UTC)
    with db.engine().begin() as connection:
        for trial in made:
            key = {
                **{"strategy": namespace.strategy, "name": namespace.name},
                **{"simulated": namespace.simulated, "tier": namespace.tier.value},
                **{"kind": trial.kind, "study": trial.study, "number": trial.number},
            }
            connection.execute(trials.delete().where(*(trials.c[name] == value for name, value in key.items())))
            row = {**key, "at_utc": now, "parameters": trial.parameters, "symbols": sorted(trial.symbols)}
            connection.execute(trials.insert().values(**row, series=_packed(trial.series)))


def on(namespace: Namespace, sessions: pl.Series, symbols: Collection[str]) -> pl.DataFrame:
    """Series of the trials on these sessions and symbols: session and one column per trial, `<kind>/<study>/<number>`.

    Trials of the namespace's strategy and tier under every name; trials on simulated markets count for a simulated
    namespace alone. Null where a trial has no value. A trial without a common session or symbol is left out; one whose
    symbols are not known counts.
    """
    like = {"strategy": namespace.strategy, "simulated": namespace.simulated, "tier": namespace.tier.value}
    query = sa.select(trials).where(*(trials.c[name] == value for name, value in like.items())).order_by(trials.c.id)
    whole, asked = pl.DataFrame({"session": sessions.unique().sort()}), set(symbols)
    with db.engine().connect() as connection:
        for row in connection.execute(query).mappings():
            if row["symbols"] is not None and asked.isdisjoint(row["symbols"]):
                continue
            name = f"{row['kind']}/{row['study']}/{row['number']}"
            series = pl.read_ipc(io.BytesIO(row["series"])).rename({"value": name})
            if len(series.join(whole, on="session", how="semi")):
                whole = whole.join(series, on="session", how="left", maintain_order="left")
    return whole


def deflate(own: pl.DataFrame, trials: pl.DataFrame, *, least: float) -> Deflated:
    """The Sharpe ratio of a series against those of the trials before it.

    own : session, value; a session without a decision earned 0. trials : as from `on`. least : the required
    probability. Raises BadData where the ratio does not exist.

    The benchmark is the higher of two expected maxima without skill: that of the tunings' effective trials, by the
    spread of their ratios, and that of all trials and gate attempts, by how their returns correlate
    (`overfitting.expected_best`). Training the same recipe again costs nothing, a changed recipe costs as much as it
    differs, and no further attempt ever raises the probability: the revision's smaller variance of a maximum comes from
    the tunings' effective trials alone.
    """
    track = sharpe.track(own["value"].fill_null(0.0).to_numpy())
    earlier = own.select("session").join(trials, on="session", how="left", maintain_order="left").drop("session")
    matrix = np.column_stack([own["value"].fill_null(0.0), *(column.fill_null(0.0) for column in earlier)])
    tuned = [not name.startswith(f"{GATE}/") for name in earlier.columns]
    found, floor = overfitting.effective_trials(matrix[:, [True, *tuned]]), overfitting.expected_best(matrix)
    probability = sharpe.deflated(track, trials=found, floor=floor)
    best = max(sharpe.expected_maximum(found), floor)
    return Deflated(
        probability=probability.published,
        revised=probability.revised,
        undeflated=sharpe.probabilistic(track).published,
        sharpe=track.sharpe_per_period,
        attempts=len(tuned) - sum(tuned),
        tuned=sum(tuned),
        trials=overfitting.distinct_trials(matrix).shape[1],
        sessions=track.n,
        needed=max(sharpe.minimum_track_record(track, benchmark=best, alpha=1.0 - least)),
    )


def _packed(series: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    series.select("session", "value").write_ipc(target, compression="zstd")
    return target.getvalue()
