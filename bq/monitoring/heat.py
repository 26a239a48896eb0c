"""Drift of features by week, kept from one monitoring job to the next: only weeks that are new are computed."""

import datetime as dt

import polars as pl

from bq.core.namespace import Namespace
from bq.core.records import Facts, Number, Record
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import MarketData
from bq.monitoring import kept, outcomes, reference, windows
from bq.monitoring.overview import WEEKS
from bq.monitoring.reference import Reference
from bq.strategies import store
from bq.strategies.contract import Strategy


class Column(Facts):
    """One week of decisions."""

    week: dt.date  # its Monday
    n: int  # events
    psi: list[Number]  # of each feature


class Heat(Record):
    """PSI of a deployed model's features by week against the bins of its training, of the newest WEEKS. No test."""

    model_id: str
    features: list[str]
    columns: list[Column]

    @property
    def table(self) -> pl.DataFrame:
        """feature, week, psi, n."""
        rows = [
            (name, one.week, value, one.n)
            for one in self.columns
            for name, value in zip(self.features, one.psi, strict=True)
        ]
        schema = {"feature": pl.String, "week": pl.Date, "psi": pl.Float64, "n": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")


def keep(strategy: Strategy, settings: Settings, market: MarketData) -> None:
    """Bring the file of a namespace up to date with its decisions; nothing where no model with a reference decides."""
    namespace = settings.namespace
    frozen = reference.of(namespace)
    if frozen is None:
        return
    own = outcomes.counted(namespace).filter(
        pl.col("model_id") == frozen.model_id, ~pl.col("in_sample").fill_null(False)
    )
    weeks = own["session"].dt.truncate("1w").unique().sort().tail(WEEKS).to_list()
    known = [one for one in _known(namespace, frozen) if one.week in weeks][:-1]  # the last one may have grown
    new = pl.col("session").dt.truncate("1w").is_in([week for week in weeks if week not in {c.week for c in known}])
    decided = own.filter(new)
    if decided.is_empty():
        return
    wanted = dict(decided.group_by("symbol").agg(pl.col("session").unique().sort()).rows())
    built = store.on(strategy, settings, market, wanted)
    if built.is_empty():
        return
    found = windows.weekly(frozen, built.join(decided.select("event_id"), on="event_id", how="semi"))
    columns = [_column(week, part, frozen) for (week,), part in found.group_by("week")]
    every = sorted([*known, *columns], key=lambda one: one.week)
    heat = Heat(model_id=frozen.model_id, features=list(frozen.columns), columns=every)
    kept.write(heat, kept.path(namespace, kept.DRIFT))


def of(namespace: Namespace) -> Heat | None:
    """What was kept; None where nothing was, or it is damaged."""
    found = kept.read(Heat, kept.path(namespace, kept.DRIFT))
    whole = found is not None and all(len(one.psi) == len(found.features) for one in found.columns)
    return found if whole else None


def _known(namespace: Namespace, frozen: Reference) -> list[Column]:
    before = of(namespace)
    if before is None or (before.model_id, before.features) != (frozen.model_id, list(frozen.columns)):
        return []
    return before.columns


def _column(week: object, part: pl.DataFrame, frozen: Reference) -> Column:
    values = dict(part.select("feature", "psi").iter_rows())
    return Column(week=day(week), n=int(part["n"][0]), psi=[values[name] for name in frozen.columns])
