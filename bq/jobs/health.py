"""What a training did and what it left out, with the reasons: the counters of its record."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from bq.core.settings import Settings
from bq.market import MarketData
from bq.runs.record import Health
from bq.serving.candidate import Candidate
from bq.strategies.contract import Strategy
from bq.strategies.store import Collection

if TYPE_CHECKING:
    from bq.analysis.regimes import Estimate

LOST = ("rejected", "quarantined")  # what becomes of rows that are refused
NAMED = 5  # reasons, or names, that a line names


def counters(
    made: Candidate, collection: Collection, data: MarketData, strategy: Strategy, settings: Settings
) -> list[Health]:
    """Lines of what, count, of and why; `why` is empty where nothing was left out."""
    events, features = collection.events, strategy.features(settings)
    ready = events.filter(pl.col("label").is_not_null())
    dates, waiting = len(collection.refused) + len(events), len(events) - len(ready)
    empty = [name for name in features.columns if events[name].is_null().all() or events[name].is_nan().all()]
    shares = made.importances.group_by("feature").agg(pl.col("share").sum())
    unused = sorted(name for name, share in shares.rows() if not share)
    return [
        _line("folds trained", len(made.folds), settings.learning.folds, ""),
        *_models(made, settings),
        _line("features with no value", len(empty), len(features.columns), _some(empty)),
        _line("features that the candidate does not use", len(unused), len(features.columns), _some(unused)),
        _line("dates without an event", len(collection.refused), dates, _reasons(collection.refused["reason"])),
        _line("events without a label: no outcome yet, or too few names in their session", waiting, len(events), ""),
        *(_line(one.what, one.number, one.of, _some(one.why)) for one in strategy.views.counters(events)),
        *_filter(collection.regimes),
        refused(data),
    ]


def refused(data: MarketData) -> Health:
    """Rows that broke a rule, of those that were asked for; a copy of another row is none."""
    judged = pl.col("read") - pl.col("outside") - pl.col("not_asked")
    lost = data.findings.filter(pl.col("action").is_in(LOST))
    return _line("rows refused", len(lost), int(data.counts.select(judged.sum()).item()), _reasons(lost["rule"]))


def _filter(estimates: "Sequence[Estimate]") -> list[Health]:
    """Years whose regimes are filtered with the parameters of the year before, or unknown where there were none."""
    if not estimates:
        return []
    failed = [f"{year}: {why}" for year, why in estimates if why]
    return [_line("years whose market regimes could not be estimated", len(failed), len(estimates), _some(failed))]


def _models(made: Candidate, settings: Settings) -> list[Health]:
    """Base models left out of a stack in some fold (0 is the deployable model), one line for each reason."""
    own = made.notes.filter(pl.col("model") == made.artefact.bundle.model, pl.col("what") == "left out")
    if own.is_empty():
        return [_line("models left out", 0, len(settings.learning.stack.models), "")]
    folds = own.group_by("layer", "why", maintain_order=True).agg(pl.col("fold").unique().sort())
    total = len(made.folds) + 1
    return [
        _line(f"folds without {layer}", len(numbers), total, f"{why} (fold {', '.join(map(str, numbers))})")
        for layer, why, numbers in folds.rows()
    ]


def _line(what: str, count: int, of: int, why: str) -> Health:
    return Health(what=what, count=count, of=of, why=why)


def _reasons(column: pl.Series) -> str:
    counts = column.value_counts(sort=True).rows()
    return _some([f"{number:,} {reason}" for reason, number in counts])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", and {len(names) - NAMED} more" if len(names) > NAMED else "")
