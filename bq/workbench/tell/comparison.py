"""Notebook 05: whose decisions are better, and what did the tracks' executions earn?"""

import math

import polars as pl

from bq.core.numerals import decimal, percent, significant, with_sign
from bq.monitoring import compared_record
from bq.monitoring.compared import Compared, Without
from bq.stats import power
from bq.stats.sequential import LEAST
from bq.stats.year import TRADING_DAYS
from bq.trading.comparison import ALPHA, Comparison, Difference, Figures, Question
from bq.trading.unpaired import Unpaired
from bq.workbench import monitors, planned, plots, theme
from bq.workbench.phrases import most
from bq.workbench.reading import comparison as words
from bq.workbench.told import Reading, Told

NOTHING = "Nothing to show, as said above."
SUMS = (
    "Returns, drawdown, fees and costs are shares of fixed capital and add up; turnover is in multiples of it. Win "
    "rates are net of costs, their bounds hold however often one looks. Ratios are annual."
)


def track_verdicts(found: Compared) -> Reading:
    """One sentence a question and track."""
    return Reading(*words.verdicts(compared_record.of(found)))


def track_figures(found: Comparison | Without) -> Told:
    """What each track made: a row a figure, a column a track."""
    if isinstance(found, Without):
        return Told(None, NOTHING)
    columns = {"figure": [name for name, _ in _figures(found.figures[0])]}
    columns |= {one.track: [text for _, text in _figures(one)] for one in found.figures}
    table = pl.DataFrame(columns)
    known = pl.any_horizontal(pl.exclude("figure") != percent(None))
    best = max(found.figures, key=lambda one: one.total)
    trades = ", ".join(f"{one.track} {one.trades:,}" for one in found.figures)
    told = f"{best.track} {most(best.total)}. Closed trades: {trades}. {SUMS} {_zone(found.zone)}".rstrip()
    return Told(plots.table(table.filter(known)), told, table)


def _zone(zone: float) -> str:
    return f"In the profit zone a trade makes more than {significant(zone)} of its risk." if zone else ""


def _figures(one: Figures) -> list[tuple[str, str]]:
    """Names and values of a track's figures."""
    rate, cost = one.win_rate, one.cost
    win = f"{percent(rate.value)} [{percent(rate.low)}, {percent(rate.high)}]" if rate.n else percent(None)
    capital = one.capital
    return [
        ("sessions", f"{one.sessions:,}"),
        ("opportunities", percent(None) if one.opportunities is None else f"{one.opportunities:,}"),
        ("closed trades", f"{one.trades:,}"),
        ("open positions", f"{one.still_open:,}"),
        ("cumulative return", percent(one.total, 1, sign=True)),
        ("win rate", win),
        ("P&L over risk", with_sign(one.outcome)),
        ("Sharpe ratio", decimal(one.sharpe, 2)),
        ("Sortino ratio", decimal(one.sortino, 2)),
        ("maximum drawdown", percent(one.drawdown, 1)),
        ("profit zone, predicted", percent(one.predicted)),
        ("profit zone, realised", f"{percent(one.realised)} of {one.told:,}" if one.told else percent(None)),
        ("turnover a year", decimal(one.turnover, 1)),
        ("fees", percent(one.fees, 2)),
        ("costs in prices", percent(cost and cost.paid / capital, 2)),
        ("… as modelled", percent(cost and cost.modelled / capital, 2)),
        ("… beyond the model", percent(cost and cost.slippage / capital, 2, sign=True)),
        ("filled orders", f"{cost.orders:,}" if cost else percent(None)),
        ("… without a model price", f"{cost.unpriced:,}" if cost else percent(None)),
    ]


def track_returns(found: Comparison | Without, title: str) -> Told:
    """Cumulative return of each track over its fixed capital, with the drawdown below."""
    if isinstance(found, Without):
        return Told(None, f"No comparison: {words.WITHOUT[found]}")
    tracks = [one.track for one in found.figures]
    table = found.returns.with_columns(pl.col(tracks) * 100.0)
    figure = plots.cumulative(
        table, "session", tracks, title=title, x_title="session", y_title="sum of returns [% of capital]"
    )
    ends = ", ".join(f"{one.track} {percent(one.total, 1, sign=True)}" for one in found.figures)
    days = f"{len(table):,} sessions, {table['session'].min()} to {table['session'].max()}"
    return Told(figure, f"Sums after {days}: {ends}.", table)


def track_sequence(found: Comparison | Without, title: str) -> Told:
    """The mean difference as it became known, with bounds that hold at every look."""
    if isinstance(found, Without):
        return Told(None, NOTHING)
    one = found.differences[0]
    table = _path(one, found.returns["session"])
    if len(table) < LEAST:
        why = f"Bounds begin at {LEAST} observations; there are {len(table)}."
        return Told(plots.no_data(title, why), why, table)
    known = table.filter(pl.col("low").is_finite())
    x = theme.positions(known["session"])
    traces = [
        monitors.band(x, known["low"], known["high"], name="always-valid bounds"),
        theme.line(known, "session", "mean", 0).update(name=f"{one.track} − {one.base}"),
    ]
    note = f"{len(table):,} observations of {one.look.sessions} sessions; bounds from the {LEAST}th on"
    y_title = "difference [% a year]"
    figure = theme.figure(traces, title=title, x_title="session", y_title=y_title, note=note)
    figure.add_hline(y=0.0, line={"color": theme.GREY, "dash": "dash", "width": 1.2})
    return Told(figure.update_layout(showlegend=True), _newest(one), table)


def _newest(one: Difference) -> str:
    seen = {1: "0 lies below the bounds", -1: "0 lies above the bounds", 0: "0 lies within the bounds"}
    if not one.look.enough:
        return "The newest observations are autocorrelated, so their bounds do not count."
    return f"At the newest look {seen[one.look.apart]} of {one.track} − {one.base}."


def _path(one: Difference, sessions: pl.Series) -> pl.DataFrame:
    a_year = 100.0 * TRADING_DAYS / one.look.sessions
    count = len(one.look.values)
    columns = {name: a_year * getattr(one.look.sequence, name) for name in ("mean", "low", "high")}
    return pl.DataFrame({"session": sessions.gather_every(one.look.sessions, one.look.sessions - 1)[:count], **columns})


def track_differences(found: Comparison | Without) -> Told:
    """Every way of telling the tracks apart, with its interval; only the first holds at every look."""
    if isinstance(found, Without):
        return Told(None, NOTHING)
    rows = [row for one in found.differences for row in _rows(one)]
    if found.superior is not None:
        rows.append(
            ("all", "any better than the base", f"p = {significant(found.superior, 2)}", "", "SPA, Hansen 2005")
        )
    table = pl.DataFrame(rows, schema=["track", "figure", "value", "95% interval", "by"], orient="row")
    shown = table if table["track"].n_unique() > 1 else table.drop("track")
    said = f"Each less {found.base}. {_independence(found.question, found.differences[0])}"
    return Told(plots.table(shown), said, table)


def _rows(one: Difference) -> list[tuple[str, str, str, str, str]]:
    name, look, mean = one.track, one.look, one.a_year
    a_year = TRADING_DAYS / look.sessions
    seen = "at every look, observations of " + f"{look.sessions} sessions"
    bounds = "none yet"
    if len(look.values) >= LEAST:
        bounds = _within(look.sequence.low[-1] * a_year, look.sequence.high[-1] * a_year)
    value = percent(float(look.values.mean()) * a_year, 1, sign=True) if len(look.values) else percent(None)
    once = _within(mean.low, mean.high) if mean.low <= mean.high else "too short"
    rows = [
        (name, "mean [% of capital a year]", value, bounds, f"confidence sequence, {seen}"),
        (name, "the same, at one look", percent(mean.mean, 1, sign=True), once, "stationary bootstrap"),
    ]
    if one.sharpe is not None:
        scale = math.sqrt(TRADING_DAYS)
        low, high = (with_sign(scale * at, 2) for at in (one.sharpe.low, one.sharpe.high))
        value = with_sign(scale * one.sharpe.difference, 2)
        by = f"Ledoit & Wolf 2008, at one look, p = {significant(one.sharpe.p, 2)}"
        rows.append((name, "Sharpe ratios, annual", value, f"[{low}, {high}]", by))
    rows.append((name, "correlation of daily results", decimal(one.correlation, 2), "", ""))
    return rows


def _within(low: float, high: float) -> str:
    return f"[{percent(low, 1, sign=True)}, {percent(high, 1, sign=True)}]"


def _independence(question: Question, one: Difference) -> str:
    found, told = one.look, []
    if not math.isnan(found.autocorrelation):
        fine = "within its band" if not found.autocorrelation > found.band else "beyond its band"
        apart = f"autocorrelation {with_sign(found.autocorrelation, 2)}, {fine} of {decimal(found.band, 2)}"
        told.append(f"Observations of {found.sessions} sessions: {apart}.")
    if question == Question.DECISIONS:
        told.append(
            f"Pairing takes out {percent(one.saved)} of the variance that an unpaired difference would have; CUPED has "
            "nothing left to take out, as both books meet the same scores."
        )
    return " ".join(told) or "There are fewer than three observations."


def executions(found: Compared) -> Told:
    """Unpaired differences of executions, clustered by symbol, and what CUPED saves."""
    rows = [row for one in found.executed for row in _unpaired(one.track, one)]
    if not rows:
        return Told(None, words.executed(found.executed))
    names = ["track", "unit", "mean", "of the base", "difference", "95% interval", "n", "n of the base", "symbols"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    shown = table if table["track"].n_unique() > 1 else table.drop("track")
    return Told(plots.table(shown), words.executed(found.executed), table)


def _unpaired(track: str, found: object) -> list[tuple]:
    bps = 1e4
    kinds = {
        "outcome": ("P&L over risk, a closed trade", 1.0),
        "win_rate": ("win rate [%], a closed trade", 100.0),
        "opportunity": ("P&L [bps of capital], an opportunity drawn", bps),
        "adjusted": ("the same by CUPED", bps),
    }
    rows = []
    for name, (told, scale) in kinds.items():
        one: Unpaired | None = getattr(found, name)
        if one is not None:
            within = (
                f"[{with_sign(scale * one.low, 2)}, {with_sign(scale * one.high, 2)}]" if one.low <= one.high else "–"
            )
            means = (decimal(scale * one.first, 2), decimal(scale * one.base, 2), with_sign(scale * one.difference, 2))
            rows.append((track, told, *means, within, one.n_first, one.n_base, one.clusters))
    return rows


def track_split(found: Compared) -> Told:
    """Whether draws went to the tracks as their shares say."""
    return Told(None, words.split(found.drawn))


def track_power(found: Compared) -> Told:
    """What a difference takes at today's variance, and win rates at today's."""
    if isinstance(found.decisions, Without):
        return Told(None, f"Power is not known: {words.WITHOUT[found.decisions]}")
    one = found.decisions.differences[0]
    deviation = planned.measured(one)
    if deviation is None:
        return Told(None, "Power is not known: there are fewer than two observations.")
    table = planned.table(deviation)
    told = f"At today's deviation of {percent(deviation, 2)} of capital in five sessions, with probability 80%. "
    return Told(plots.table(table, digits=1), told + _win_rates(found), table)


def _win_rates(found: Compared) -> str:
    rates = [one.win_rate for one in found.executed if one.win_rate is not None]
    if not rates or rates[0].first == rates[0].base or not 0 < min(rates[0].first, rates[0].base) < 1:
        arms = power.trades(0.25, 0.35, alpha=ALPHA)
        return f"A win rate of 35% is told from one of 25% by {arms.better:,} trades of each, at one look."
    one = rates[0]
    share = one.n_first / (one.n_first + one.n_base)
    top, low = (one.first, one.base) if one.first > one.base else (one.base, one.first)
    arms = power.trades(low, top, share=share if one.first > one.base else 1.0 - share, alpha=ALPHA)
    return (
        f"Win rates as far apart as today's ({percent(one.first)} and {percent(one.base)}) are told apart by "
        f"{arms.better + arms.base:,} trades, at one look; there are {one.n_first + one.n_base:,}."
    )
