"""Notebook 01: the parameters, the events, what they earned, and which features go with that."""

from typing import Any

import polars as pl

from bq import strategies
from bq.core import params, paths
from bq.core.numerals import stated
from bq.core.settings import Settings
from bq.learning import metrics, summaries
from bq.stats.blocks import Blocks, block_length
from bq.strategies import store
from bq.strategies.events import Built
from bq.workbench import plots, reading
from bq.workbench.exhibits import Exhibits, exhibits
from bq.workbench.told import Told

DRAWS = 2000  # of the bootstrap: a look, no verdict
ALWAYS = (  # parameters that a reader looks for whether or not they were turned
    *("market.source", "market.symbols", "market.start", "market.end", "events.first"),
    *("learning.features", "learning.model", "learning.folds", "policy.k"),
)


def parameters(settings: Settings) -> Told:
    """What holds here: the parameters that are turned most, and all that differ from parameters/<strategy>.yaml."""
    shipped = _leaves(params.load(paths.parameters(settings.strategy), type(settings)).model_dump(mode="json"))
    here = _leaves(settings.model_dump(mode="json"))
    turned = [name for name in {**here, **shipped} if here.get(name) != shipped.get(name)]
    looked = [name for name in ALWAYS if here.get(name) is not None and name not in turned]
    rows = [(name, _text(here.get(name)), _text(shipped.get(name))) for name in [*looked, *turned]]
    table = pl.DataFrame(rows, schema=["parameter", "here", "shipped"], orient="row")
    count = reading.counted(len(turned), "parameter")
    sentence = f"{count} of {settings.strategy} {'differs' if len(turned) == 1 else 'differ'} from the shipped file."
    return Told(plots.table(table), sentence, table)


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return stated(value)


def _closed(events: pl.DataFrame) -> pl.DataFrame:
    return events.filter(pl.col("outcome").is_not_null())


def by_kind(events: pl.DataFrame, settings: Settings) -> Told:
    """How many events there are of each kind, and what they earned."""
    kind = strategies.of(settings).table.kind
    table = summaries.by_kind(events, kind)
    return Told(plots.table(table), reading.kinds(table, kind), table)


def by_year(events: pl.DataFrame, settings: Settings) -> Told:
    """Events of each kind by year."""
    table = summaries.by_year(events, strategies.of(settings).table.kind)
    titles = {"title": "Events by year", "x_title": "year", "y_title": "events"}
    return Told(plots.bars(table, "year", table.columns[1:], **titles), reading.years(table), table)


def refusals(refused: pl.DataFrame) -> Told:
    """Why dates gave no event."""
    table = summaries.by_reason(refused)
    return Told(plots.table(table), reading.refusals(table), table)


def outcomes(events: pl.DataFrame, settings: Settings) -> Told:
    """Distribution of the outcome by kind of event."""
    kind = strategies.of(settings).table.kind
    closed = _closed(events.select(kind, "outcome"))  # a notebook keeps what a cell shows
    figure = plots.histogram(closed, "outcome", by=kind, title="Outcome", x_title="outcome")
    return Told(figure, reading.outcomes(closed), closed)


def classes(events: pl.DataFrame, settings: Settings) -> Told:
    """Share of each class, and what its events earned."""
    table = summaries.by_class(_closed(events), strategies.of(settings).task(settings).classes)
    return Told(plots.table(table), reading.classes(table), table)


def particulars(events: pl.DataFrame, refused: pl.DataFrame, settings: Settings) -> Exhibits | Told:
    """What the strategy shows of its own events."""
    views = strategies.of(settings).views
    shown = views.exhibits(Built(events, refused), store.market_data(settings), settings)
    return exhibits(shown) if shown else Told(None, f"{settings.strategy} has nothing of its own to show here.")


def score_deciles(events: pl.DataFrame) -> Told:
    """Mean outcome by decile of the rule score."""
    closed = _closed(events)
    table = summaries.deciles(closed, by="score", means=["outcome"]).with_columns(pl.col("decile").cast(pl.String))
    figure = plots.bars(
        table,
        "decile",
        ["outcome"],
        title="Outcome by decile of the rule score",
        x_title=f"decile of the score, lowest first ({len(closed):,} events)",
        y_title="mean outcome",
    )
    return Told(figure, reading.deciles(table, "rule score"), table)


def features(events: pl.DataFrame, settings: Settings) -> Told:
    """What each feature is like."""
    table = summaries.describe_features(events, strategies.of(settings).features(settings).columns)
    return Told(plots.table(table), reading.features(table), table)


def feature_ics(events: pl.DataFrame, settings: Settings) -> Told:
    """Rank IC of each feature with the outcome, beside that of the rule score."""
    closed = _closed(events)
    if closed.is_empty():
        return Told(None, reading.NO_OUTCOMES)
    blocks = Blocks(block_length(closed), settings.gate.alpha, DRAWS, settings.learning.seed)
    columns = strategies.of(settings).features(settings).columns
    table = metrics.feature_ic(closed, [*columns, "score"], blocks=blocks)
    score, own = table.filter(pl.col("feature") == "score")["ic"][0], table.filter(pl.col("feature") != "score")
    figure = plots.interval_dots(
        own.filter(pl.col("ic").is_not_null()),
        label="feature",
        value="ic",
        low="low",
        high="high",
        baseline=score,
        title="Rank IC with the outcome; line: rule score",
        x_title="mean Spearman correlation within a session, block-bootstrap interval",
    )
    return Told(figure, reading.rank_ics(own, label="feature", score_ic=score), table)


def feature_correlations(events: pl.DataFrame, settings: Settings) -> Told:
    """Rank correlation of the features."""
    names, matrix = summaries.rank_correlation(events, strategies.of(settings).features(settings).columns)
    titles = {"title": "Rank correlation of the features", "x_title": "feature", "y_title": "feature"}
    figure = plots.heatmap(matrix.to_numpy(), names, names, **titles, z_title="Spearman")
    return Told(figure, reading.correlations(names, matrix.to_numpy()), matrix)
