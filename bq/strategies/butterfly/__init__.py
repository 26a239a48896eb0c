"""Option-butterfly opportunities: one event is a (symbol, date) with the structure that the rules propose for it."""

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.files import digest
from bq.core.numerals import decimal, significant
from bq.core.parallel import parallel_map
from bq.core.scalars import count, day
from bq.strategies import policy
from bq.strategies.butterfly.features import BUTTERFLY_V2, BUTTERFLY_V3
from bq.strategies.butterfly.layout import LAYOUT
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.contract import (
    Cells,
    Columns,
    Counter,
    Exhibit,
    Sketch,
    Strategy,
    Table,
    Value,
    Views,
    kinds_and_sizes,
)
from bq.strategies.events import Built, completed
from bq.strategies.task import Task
from bq.strategies.ticket import Ticket
from bq.strategies.weighing import Parts, Weighing

if TYPE_CHECKING:
    from bq.market import MarketData
    from bq.strategies.desk import Desk

NAME = "butterfly"
FEW = 1_000  # events take less time than worker processes do to start
BATCH = 250  # events of symbols that have few each are built together, as one table
Wanted = Mapping[str, list[dt.date]]


def variant(settings: ButterflySettings) -> str:
    """Rule-set name and digest of the parameters that an event depends on."""
    parts = {
        "analysis": settings.analysis.model_dump(exclude={"engine"}),
        "structure": settings.structure.model_dump(),
        "costs": settings.costs.model_dump(),
        "score": settings.score.model_dump(exclude={"weights"}),  # learnt ones are a column beside it
        "label": settings.label.model_dump(),
    }
    return f"{NAME}-{digest(parts, 8)}"


def schedule(market: "MarketData", settings: ButterflySettings) -> Wanted:
    """The sessions looked at: the last of every n-th ISO week by the calendar, so that later data changes none.

    With `events.vix_strata` instead as many sessions as it says, drawn by the seed, from calm, usual and stormy times.
    """
    first = market.bars.filter(pl.col("session") >= settings.events.first)
    if settings.events.vix_strata:
        chosen = pl.DataFrame({"session": _stratified(first, settings)}, schema={"session": pl.Date})
    else:
        chosen = _last_of_weeks(market.calendar, every=settings.events.every_weeks)
    bars = first.join(chosen, on="session").sort("session")
    return {symbol: group["session"].to_list() for (symbol,), group in bars.group_by("symbol")}


def _last_of_weeks(calendar: str, *, every: int) -> pl.DataFrame:
    from bq.market.calendars import sessions

    week = (pl.col("session").dt.epoch("d") + 3) // 7  # weeks since the Monday before the epoch
    last = sessions(calendar).group_by(week.alias("week")).agg(pl.col("session").max())
    return last.filter(pl.col("week") % every == 0).select("session")


def _stratified(bars: pl.DataFrame, settings: ButterflySettings) -> list[dt.date]:
    """Sessions drawn from three strata of the index's implied volatility."""
    known = bars.filter(pl.col("symbol").is_in(settings.structure.index_symbols), pl.col("iv").is_not_null())
    stratum = (pl.col("iv") >= 0.15).cast(pl.Int64) + (pl.col("iv") >= 0.25).cast(pl.Int64)
    days = known.sort("session").unique("session", keep="first", maintain_order=True).with_columns(stratum=stratum)
    chosen: list[dt.date] = []
    for number, wanted in enumerate(settings.events.vix_strata or []):
        here = days.filter(pl.col("stratum") == number)["session"]
        if len(here) < wanted:
            raise BadData(
                f"`events.vix_strata` asks for {wanted} sessions of stratum {number} (index IV below 15%, to 25%, "
                f"above), but there are {len(here)}. Ask for fewer or bring more history."
            )
        chosen += here.sample(wanted, seed=settings.learning.seed).to_list()
    return chosen


def build_events(market: "MarketData", settings: ButterflySettings, wanted: Wanted) -> Built:
    """The events of the wanted sessions of each symbol."""
    from bq.market.calendars import periods_per_year, sessions
    from bq.market.chains.coverage import unlisted
    from bq.strategies.butterfly.history import arranged

    calendar, year = sessions(market.calendar)["session"].to_numpy(), periods_per_year(market.calendar)
    last = day(market.bars["session"].max())
    asked = None if market.chain_data is None and market.quotes.is_empty() else market.quotes
    why = unlisted(market.bars, asked)
    bars = arranged(market.bars, settings).with_columns(listed=why["unlisted"].is_null())
    of = {symbol: frame for (symbol,), frame in bars.group_by("symbol", maintain_order=True)}
    quotes = {symbol: frame for (symbol,), frame in market.quotes.group_by("underlying", maintain_order=True)}
    jobs = [Job(of[symbol], quotes.get(symbol), dates) for symbol, dates in sorted(wanted.items()) if dates]
    if not jobs:
        raise ValueError("at least one session must be wanted")
    work = partial(_build, calendar=calendar, last=last, periods_per_year=year, settings=settings)
    few = sum(len(job.dates) for job in jobs) <= FEW
    parts = [work(jobs)] if few else parallel_map(work, list(_batches(jobs)), description="butterfly events")
    frames, refused = zip(*parts, strict=True)
    rows = pl.concat(frames).join(why, on=["symbol", "session"], how="left", maintain_order="left")
    return Built(_as_events(rows, market, settings), pl.concat(refused))


class Job(NamedTuple):
    """What the events of one symbol are built from. bars : as `arranged`, and whether their session is `listed`."""

    bars: pl.DataFrame
    quotes: pl.DataFrame | None
    dates: list[dt.date]


def _batches(jobs: list[Job]) -> Iterator[list[Job]]:
    """Jobs in their order, as many together as it takes to be worth a table."""
    batch: list[Job] = []
    for job in jobs:
        batch.append(job)
        if sum(len(one.dates) for one in batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _build(
    jobs: list[Job],
    *,
    calendar: NDArray,
    last: dt.date,
    periods_per_year: int,
    settings: ButterflySettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events of symbols, and what was refused: from the quotes where a session has them, else from the model."""
    from bq.strategies.butterfly.build import build_symbol, stacked
    from bq.strategies.butterfly.history import history
    from bq.strategies.butterfly.listed import Listed, board, surface
    from bq.strategies.butterfly.modelled import Modelled
    from bq.strategies.butterfly.trade_path import Pricer

    events, refusals = [], []
    for bars, quotes, dates in jobs:
        solved = None if quotes is None else surface(quotes, rate=settings.structure.rate)
        h = history(bars, solved, calendar, last, settings, periods_per_year=periods_per_year)
        at = np.flatnonzero(np.isin(h.session, np.array(dates, "datetime64[D]")))
        listed = bars["listed"].to_numpy()[at]
        pricers: dict[str, tuple[Pricer, NDArray]] = {"modelled": (Modelled(h, settings), at[~listed])}
        if quotes is not None:
            pricers["real"] = Listed(h, settings, board(quotes)), at[listed]
        for source, (pricer, positions) in pricers.items():
            if len(positions):
                columns, refused = build_symbol(h, positions, pricer, settings)
                found, gone = (len(part["session"]) for part in (columns, refused))
                events.append({"symbol": np.full(found, h.symbol), **columns, "source": np.full(found, source)})
                refusals.append({"symbol": np.full(gone, h.symbol), **refused})
    return stacked(events), stacked(refusals)


def _as_events(rows: pl.DataFrame, market: "MarketData", settings: ButterflySettings) -> pl.DataFrame:
    """Add the contract's columns to the symbol-wise rows; the strategy's own columns stay behind them."""
    numbers = rows.with_columns(
        pl.col("^roi_.*$", "outcome", "lead_7d", "debit", "risk", "exit_spot", "in_zone").fill_nan(None),
        source=pl.lit("simulated") if market.source == "simulated" else pl.col("source"),
    )
    return completed(numbers, market, strategy=NAME, variant=variant(settings))


def task(settings: ButterflySettings) -> Task:
    """Four ROI classes by the edges of the settings; from the third on a trade is worth taking."""
    return Task(
        ("Loss", "Minor", "Good", "Excellent"),
        tuple(settings.label.edges),
        outcome="ROI",
        trade_score=settings.score.trade_at,
    )


def notices(events: pl.DataFrame, settings: ButterflySettings) -> list[str]:
    """Whether `policy.k` leaves the model anything to choose: else only the thresholds part it from the rule score."""
    most, k = count(events.group_by("session").len()["len"].max() or 0), settings.policy.k
    if k is None or most > k:
        return []
    enough = f"set policy.k={most // 2} or lower" if most > 1 else "bring more symbols"
    return [
        f"policy.k is {k}, but no session has more than {most} event{'' if most == 1 else 's'}: the model and the "
        f"rule score then differ only in when they trade, hardly in what; {enough}"
    ]


def counters(events: pl.DataFrame) -> list[Counter]:
    """How many events are priced from quotes, and why the others are not."""
    from bq.market.chains.coverage import Unlisted, counted

    found = counted(events)
    why = [f"{number:,} {Unlisted(reason).text}" for reason, number, _ in found.rows() if reason]
    listed = count(found.filter(pl.col("unlisted").is_null())["number"].sum())
    return [Counter("events with listed option prices (real; the others are modelled)", listed, len(events), why)]


def sketch(event: Mapping[str, Any], settings: ButterflySettings) -> Sketch:
    """Legs, rule score, Greeks and pay-off of an event."""
    from bq.strategies.butterfly.payoff import greeks, legs, payoff, score

    width, quoted = event["upper"] - event["body"], event["quoted"]
    strikes = f"{significant(event['body'], 4)} ±{significant(width)}{'' if quoted else ' % of spot'}"
    caption = f"{event['symbol']} {event['structure']} {strikes}, {event['dte_days']} days"
    structure = legs(event) if quoted else legs(event).rename({"strike": "strike [% of spot]"})
    tables = {"The structure": structure, "The rule score": score(event, settings), "The Greeks": greeks(event)}
    return Sketch(caption, tables, payoff(event, settings), "price" if quoted else "% of spot at t0")


def ticket(event: Mapping[str, Any], settings: ButterflySettings) -> Ticket | None:
    """The legs and what can become of them; nothing where a labelled table lacks one of the facts."""
    if any(
        event.get(name) is None for name in ("structure", "body", "upper", "expiry", "max_profit", "max_loss", "spot")
    ):
        return None
    from bq.strategies.butterfly.order import ticket as order

    return order(event)


def against(event: Mapping[str, Any], trade: bool, settings: ButterflySettings) -> list[str]:
    """The level of the rules where it reads as the opposite of the decision: it asks for the profit ratio as well."""
    level = event["level"]
    if (level in ("STRONG_BUY", "BUY")) == trade:
        return []
    score, ratio = decimal(event["score"], 1), decimal(event["profit_ratio"], 2)
    asks = f"BUY asks for a score of 60 or more (here {score}) and a profit ratio above 1.5 (here {ratio})"
    return [f"level {level} speaks {'against' if trade else 'for'} it, but does not decide: {asks}"]


def cells(events: Columns) -> Cells:
    """Structure index and wing width in standard deviations: where class means are kept apart."""
    return kinds_and_sizes(events["structure"], ("CALL", "PUT", "IRON"), events["wing_sigmas"])


def _exhibits(made: Built, market: "MarketData", settings: ButterflySettings) -> list[Exhibit]:
    from bq.strategies.butterfly.evidence import exhibits

    return exhibits(made.events, market, settings)


def _results(oos: pl.DataFrame, settings: ButterflySettings, market: "MarketData") -> list[Exhibit]:
    from bq.strategies.butterfly.evidence import results

    return results(policy.chosen(oos, policy.EXPECTED, settings.policy.k), oos)


COMPONENTS = ("price_match", "vol_mispricing", "stability", "fourier")


def parts(events: pl.DataFrame, settings: ButterflySettings) -> Parts:
    """The components of the score, as the settings' rule takes them, and the penalty for directional exposure."""
    names = ["price_match_v2" if settings.score.rule == "score_v2" else "price_match", *COMPONENTS[1:]]
    values = events.select(pl.col(f"{name}_score").cast(pl.Float64) for name in names).to_numpy()
    return Parts(values, events["delta_penalty_score"].cast(pl.Float64).to_numpy())


def given(settings: ButterflySettings) -> tuple[float, ...]:
    """The weights of the settings as shares of their sum."""
    weights = [getattr(settings.score, name) for name in COMPONENTS]
    return tuple(weight / sum(weights) for weight in weights)


def desk(market: "MarketData", settings: ButterflySettings) -> "Desk":
    """How butterflies are traded."""
    from bq.strategies.butterfly.desk import ButterflyDesk

    return ButterflyDesk(market, settings)


def before_costs(settings: ButterflySettings) -> ButterflySettings:
    """At mid prices."""
    return settings.model_copy(update={"costs": settings.costs.model_copy(update={"half_spread_paid": 0.0})})


STRATEGY = Strategy(
    name=NAME,
    settings=ButterflySettings,
    table=Table(
        build=build_events,
        feature_sets=(BUTTERFLY_V2, BUTTERFLY_V3),
        schedule=schedule,
        cells=cells,
        cells_from=("structure", "wing_sigmas"),
        quoted=True,
        kind="structure",
        detail=(
            *(
                "structure",
                "lower",
                "body",
                "upper",
                "dte_days",
                "expiry",
                "root",
                "spot",
                "quoted",
                "unlisted",
                "level",
            ),
            *("entry_session", "exit_session", "exit_reason", "debit", "exit_spot", "in_zone", "lead_7d"),
            *("roi_0%", "roi_25%", "roi_50%", "roi_100%"),
        ),
    ),
    task=task,
    success=Task(("Failure", "Success"), (1e-12,), outcome="ROI"),  # did it earn anything, net of costs
    value=Value(name=lambda settings: policy.name(settings.policy, "net ROI"), before_costs=before_costs),
    views=Views(
        exhibits=_exhibits,
        results=_results,
        notices=notices,
        counters=counters,
        sketch=sketch,
        ticket=ticket,
        against=against,
    ),
    weighing=Weighing(
        COMPONENTS,
        given,
        parts,
        market=(
            *("current_iv", "iv_percentile", "predicted_vol", "vol_mispricing", "momentum_7d", "trend_slope"),
            *("period_strength", "arima_width_pct"),
        ),
    ),
    layout=LAYOUT,
    desk=desk,
    quick="events.every_weeks=8 gate.draws=2000",
)
