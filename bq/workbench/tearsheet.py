"""The tear sheet of a run: what its model earned out of sample, over time, by symbol, by kind and by fifths."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bq import strategies
from bq.core import files
from bq.core.settings import Settings
from bq.learning import metrics
from bq.runs.folder import TRADES
from bq.runs.read import Run
from bq.runs.verdict import Verdict
from bq.stats import horizons, performance, quantiles
from bq.stats.rank_ic import rank_ic
from bq.strategies.contract import Strategy
from bq.strategies.regime import LABEL as REGIME
from bq.workbench import curves, hangs, page, plots
from bq.workbench.cards import ID
from bq.workbench.phrases import counted
from bq.workbench.table import table

LINES = {"model": "model", "baseline": "rule score", "everything": "every event"}
WINDOW = 63  # sessions of a rolling ratio, or a quarter of all where that is less
PARTS = 5  # quantiles of a cross-section
EXTREMES = 10  # best and worst trades listed
EXITS = ("entry_session", "exit_session", "exit_reason")
OUTCOME = pl.col("outcome")
OVERLAP = (
    "Rank IC of the same predictions against returns over other horizons, close to close. Returns of neighbouring "
    "sessions overlap, so that the mean has fewer independent observations than sessions."
)
EARNED = {
    "trades": pl.len(),
    "mean": OUTCOME.mean(),
    "won": (OUTCOME > 0).mean(),
    "adds": (pl.col("weight") * OUTCOME).sum(),
}  # of a group of trades
Part = tuple[str, list[Any]]  # heading, contents


class Results(NamedTuple):
    """What a tear sheet is made of."""

    pairs: pl.DataFrame  # session, model, baseline, everything: what each earned
    trades: pl.DataFrame  # what the model's policy chose, with weight
    predictions: pl.DataFrame  # of every event out of sample, by one model
    name: str  # of what is earned, for people
    called: str  # what tells kinds of events apart, a column of trades where it is known
    horizons: pl.DataFrame | None = None  # rank IC over other horizons, of predicted returns with bars


class Sheet:
    """Shows headed parts one below the other; in a notebook each content is an output of its own."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, Markdown, display  # there where this is asked for

        for heading, contents in self.parts:
            display(HTML(f"<h3>{escape(heading)}</h3>"))
            for content in contents:
                display(Markdown(content) if isinstance(content, str) else content)

    def __repr__(self) -> str:
        return "\n\n".join(heading for heading, _ in self.parts)


def of_run(run: Run) -> Sheet:
    """The tear sheet of a finished retrain or training. Raises BadParameters where it has no predictions."""
    settings = strategies.get(run.record.parameters["strategy"]).settings.recorded(run.record.parameters)
    strategy = strategies.of(settings)
    oos = run.frame("oos")
    own = oos.filter(pl.col("model") == oos["model"][0])
    listed = run.folder / TRADES
    detail = files.read_csv(listed) if listed.is_file() else pl.DataFrame()
    events = detail.unique("event_id") if "event_id" in detail.columns else None
    return sheet(results(own, strategy, settings, events=events), run.verdict)


def results(
    predictions: pl.DataFrame,
    strategy: Strategy,
    settings: Settings,
    *,
    events: pl.DataFrame | None = None,
    bars: pl.DataFrame | None = None,
) -> Results:
    """What the policy made of one model's out-of-sample predictions.

    events : event_id and, where known, their kind, regime, entry and exit. bars : of the market, for what a predicted
    return is worth over other horizons.
    """
    ahead = None
    if bars is not None and strategy.value.sizes is not None:
        ahead = horizons.by_horizon(predictions, bars, by="expected")
    trades = strategy.value.chosen(predictions, "expected", settings)
    if events is not None:
        wanted = (strategy.table.kind, REGIME, *EXITS)
        known = [name for name in wanted if name in events.columns and name not in trades.columns]
        trades = trades.join(events.select("event_id", *known), on="event_id", how="left", maintain_order="left")
    return Results(
        pairs=metrics.versus(predictions, strategy, settings),
        trades=trades,
        predictions=predictions,
        name=strategy.value.name(settings),
        called=strategy.table.kind,
        horizons=ahead,
    )


def sheet(found: Results, verdict: Verdict | None = None) -> Sheet:
    """Every part of the tear sheet. verdict : of the gate, for what the figures hang on."""
    parts = [_months(found), _falls(found), _rolling(found), *_ranking(found), _groups(found, verdict), _trades(found)]
    return Sheet(parts)


def _months(found: Results) -> Part:
    totals = performance.by_month(_of(found.pairs, "model"), compounded=False)
    years = [str(year) for year in totals["year"]]
    heat = plots.heatmap(
        totals.select(performance.MONTHS).to_numpy(),
        years,
        performance.MONTHS,
        title="Sum of each month",
        x_title="month",
        y_title="year",
        z_title=found.name,
    )
    columns = {
        title: performance.by_month(_of(found.pairs, name), compounded=False)["whole"] for name, title in LINES.items()
    }
    sessions = found.pairs.group_by(pl.col("session").dt.year()).len().sort("session")["len"]
    yearly = pl.DataFrame({"year": years, "sessions": sessions, **columns})
    text = (
        f"{found.name}, added up over the sessions of each month, not compounded: holding times overlap. A month left "
        "empty had no session."
    )
    return "By month and year", [text, heat, table(yearly)]


def _falls(found: Results) -> Part:
    below = found.pairs.select(
        "session",
        **{
            title: performance.underwater(_of(found.pairs, name), compounded=False)["value"]
            for name, title in LINES.items()
        },
    )
    figure = plots.lines(
        below,
        "session",
        list(LINES.values()),
        title="Below the highest point so far",
        x_title="session",
        y_title="distance to the peak",
    )
    worst = performance.drawdowns(_of(found.pairs, "model"), compounded=False)
    text = (
        "The model's five deepest falls of the running sum. Without an end it has not recovered; sessions are those "
        "spent below."
    )
    return "Drawdowns", [figure, text, table(worst)]


def _rolling(found: Results) -> Part:
    window = max(min(WINDOW, len(found.pairs) // 4), 2)
    ratios = {
        title: performance.rolling_sharpe(_of(found.pairs, name), window=window, periods_per_year=1)["value"]
        for name, title in LINES.items()
    }
    frame = found.pairs.select("session", **ratios)
    figure = plots.lines(
        frame,
        "session",
        list(ratios),
        title=f"Ratio over the last {window} sessions",
        x_title="session",
        y_title="mean / sd a session",
    )
    text = (
        f"Mean over standard deviation (ddof 1) of {found.name}, over {window} sessions, not annualised: holding times "
        "of neighbouring sessions overlap, so an annual ratio would be too large."
    )
    return "Rolling ratio of mean to standard deviation", [text, figure]


def _ranking(found: Results) -> list[Part]:
    """Rank IC by month and what quantiles earned; nothing where cross-sections are too small."""
    ranked = quantiles.ranked(found.predictions, by="expected", parts=PARTS)
    ics = rank_ic(found.predictions, by="expected")
    if ranked.is_empty() or ics.is_empty():
        return []
    monthly = performance.by_month(ics.rename({"ic": "value"}), compounded=False)
    sizes = performance.by_month(ics.select("session", value=pl.lit(1.0)), compounded=False)
    means = monthly.select(pl.col(name) / sizes[name] for name in performance.MONTHS)
    heat = plots.heatmap(
        means.to_numpy(),
        [str(year) for year in monthly["year"]],
        performance.MONTHS,
        title="Mean rank IC of each month",
        x_title="month",
        y_title="year",
        z_title="rank IC",
    )
    apart = quantiles.spread(ranked, parts=PARTS)
    figure = curves.cumulative(
        apart,
        "session",
        ["value"],
        title=f"Highest fifth less lowest, {counted(len(apart), 'session')}",
        x_title="session",
        y_title="sum of mean outcomes",
    )
    means_of = quantiles.by_quantile(ranked).with_columns(
        turnover=pl.Series(
            [quantiles.turnover(ranked, quantile=place)["value"].mean() for place in range(1, PARTS + 1)]
        )
    )
    text = (
        "Fifths of each session by expected outcome, 5 the highest; turnover is the share of symbols that were not in "
        "it the session before."
    )
    beyond = [] if found.horizons is None else [OVERLAP, table(found.horizons)]
    return [
        ("Rank IC by month and horizon", [heat, *beyond]),
        ("By fifths of the expected outcome", [figure, text, table(means_of)]),
    ]


def write(target: Path, found: Results, verdict: Verdict, *, title: str, source: str, bars: str) -> None:
    """The tear sheet as a page, atomically. source, bars : see `page.write`."""
    page.write(target, title=title, source=source, bars=bars, parts=sheet(found, verdict).parts)


def _groups(found: Results, verdict: Verdict | None) -> Part:
    contents: list[Any] = []
    if verdict and (said := hangs.largest(verdict)):
        contents.append(f"Without the largest contributor: {said}.")
    year = pl.col("session").dt.year().cast(pl.String)
    trades = found.trades.with_columns(year=year)
    for name in ("symbol", found.called, "year", REGIME):
        if name in trades.columns and trades[name].null_count() < len(trades):
            contents.append(table(_by(trades, name)))
    if REGIME not in trades.columns:
        contents.append("These events have no market regime: `learning.regimes` adds it.")
    return "What was traded, by group", contents


def _by(trades: pl.DataFrame, name: str) -> pl.DataFrame:
    """Trades of each group: how many, mean outcome, share that made money, and what they add to the sum.

    Where there are several, a last line has all but the group that adds most.
    """
    groups = trades.group_by(name).agg(**EARNED).sort("adds", "trades", descending=True)
    if len(groups) < 2:
        return groups
    largest = groups[name][0]
    rest = trades.filter(pl.col(name).ne_missing(largest)).select(
        pl.lit(f"all without {largest}").alias(name), **EARNED
    )
    return pl.concat([groups.with_columns(pl.col(name).cast(pl.String)), rest])


def _trades(found: Results) -> Part:
    known = found.trades.drop_nulls("outcome").with_columns(event=pl.col("event_id").str.slice(0, ID))
    exits = [name for name in EXITS if name in known.columns]
    columns = ["event", "session", "symbol", "expected", "score", "outcome", *exits]
    shown = known.select(pl.col(name).alias(name.replace("_", " ")) for name in columns)
    ordered = shown.sort("outcome", "session", "symbol", descending=[True, False, False])
    how = "`make explain EVENT=<event>` draws one with its prices"
    text = f"{counted(len(shown), 'trade')}; trades.csv has them all. {how}."
    contents: list[Any] = [text, table(ordered.head(EXTREMES)), table(ordered.tail(EXTREMES))]
    if "exit_reason" in exits:
        contents.append(table(known.group_by("exit_reason").agg(**EARNED).sort("trades", descending=True)))
    return "Best and worst trades", contents


def _of(pairs: pl.DataFrame, name: str) -> pl.DataFrame:
    return pairs.select("session", value=name)
