"""The trial ledger: every configuration whose result could have been chosen, with what it earned session by session.

A gate attempt is a trial, so is each trial of a tuning. What is chosen among many is judged against the best that as
many useless ones would show.
"""

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.stats import overfitting, sharpe

GATE = "gate"  # the kind of trial that a retrain is; a tuning has the name of its target


class Trial(NamedTuple):
    """One configuration and its result out of sample."""

    kind: str
    study: str  # the run or the study it belongs to
    number: int  # within the study
    parameters: dict[str, Any]
    series: pl.DataFrame  # session, value: net result of each session


class Deflated(NamedTuple):
    """How sure a Sharpe ratio is, after what was tried."""

    probability: float  # that the true ratio exceeds what the best of as many useless trials would show
    revised: float  # the same by the revision of 2025, which sees autocorrelation
    undeflated: float  # that it exceeds 0
    sharpe: float  # per session
    trials: float  # effective number of trials, this one among them
    sessions: int
    needed: float  # sessions of such results for a probability of `least`; inf where no number of them is enough

    def __str__(self) -> str:
        return (
            f"probability {self.probability:.3f} (2025 revision {self.revised:.3f}, undeflated {self.undeflated:.3f}); "
            f"Sharpe ratio {self.sharpe:+.3f} per session over {self.sessions} sessions, "
            f"{self.trials:.0f} effective trials"
        )


def record(shelf: str, trials: Sequence[Trial]) -> None:
    """Write trials; one of the same kind, study and number is replaced."""
    table, now = db.trials, dt.datetime.now(dt.UTC)
    with db.engine().begin() as connection:
        for trial in trials:
            key = {"shelf": shelf, "kind": trial.kind, "study": trial.study, "number": trial.number}
            connection.execute(table.delete().where(*(table.c[name] == value for name, value in key.items())))
            row = {**key, "at_utc": now, "parameters": trial.parameters, "series": _packed(trial.series)}
            connection.execute(table.insert().values(row))


def on(shelf: str, sessions: pl.Series) -> pl.DataFrame:
    """Series of the shelf's trials on these sessions: session and one column a trial, `<kind>/<study>/<number>`.

    Null where a trial has no value; trials that share no session with them are left out.
    """
    table = db.trials
    query = sa.select(table).where(table.c.shelf == shelf).order_by(table.c.id)
    whole = pl.DataFrame({"session": sessions.unique().sort()})
    with db.engine().connect() as connection:
        for row in connection.execute(query).mappings():
            name = f"{row['kind']}/{row['study']}/{row['number']}"
            series = pl.read_ipc(io.BytesIO(row["series"])).rename({"value": name})
            if len(series.join(whole, on="session", how="semi")):
                whole = whole.join(series, on="session", how="left", maintain_order="left")
    return whole


def deflate(own: pl.DataFrame, trials: pl.DataFrame, *, least: float) -> Deflated:
    """The Sharpe ratio of a series against those of the trials before it.

    own : session, value; a session without a decision earned 0. trials : as from `on`. Trials whose series move
    together count as one, but each earlier gate attempt on these sessions counts by itself: it used the same events.
    least : the probability that is asked for. Raises BadData where the ratio does not exist.
    """
    track = sharpe.track(own["value"].fill_null(0.0).to_numpy())
    earlier = own.select("session").join(trials, on="session", how="left", maintain_order="left").drop("session")
    matrix = np.column_stack([own["value"].fill_null(0.0), *(column.fill_null(0.0) for column in earlier)])
    found = overfitting.effective_trials(matrix)
    attempts = sum(name.startswith(f"{GATE}/") for name in earlier.columns)
    found = found._replace(number=max(found.number, 1.0 + attempts))
    probability, best = sharpe.deflated(track, trials=found), sharpe.expected_maximum(found)
    return Deflated(
        probability=probability.published,
        revised=probability.revised,
        undeflated=sharpe.probabilistic(track).published,
        sharpe=track.sharpe_per_period,
        trials=found.number,
        sessions=track.n,
        needed=max(sharpe.minimum_track_record(track, benchmark=best, alpha=1.0 - least)),
    )


def _packed(series: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    series.select("session", "value").write_ipc(target, compression="zstd")
    return target.getvalue()
