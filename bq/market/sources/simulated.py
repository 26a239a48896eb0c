"""Bars of a simulated market, on the sessions of the calendar. Labelled simulated everywhere."""

import datetime as dt

import polars as pl

from bq.core.errors import BadParameters
from bq.core.settings import Market
from bq.market.bars import rows
from bq.market.calendars import sessions
from bq.market.flags import SIMULATED
from bq.market.sources import Batch, picked
from bq.simulate.breakouts import FIELDS, breakout_market
from bq.simulate.panel import panel_market
from bq.simulate.pinned import pinned_market
from bq.simulate.strata import strata_market


def read(settings: Market) -> Batch:
    """The rows asked for of the market that `settings.simulation` describes, and no findings."""
    plan = settings.simulation
    if plan is None:
        raise BadParameters(
            "`market.simulation` must be given with `market.source: simulated`; see parameters/simulated/."
        )
    over = (pl.col("session") >= plan.first) & (pl.col("close_utc") <= dt.datetime.now(dt.UTC))
    days = sessions(settings.calendar).filter(over)["session"].head(plan.sessions)
    if len(days) < plan.sessions:
        raise BadParameters(
            f"`market.simulation.sessions` must be over, but of {plan.sessions} sessions of {settings.calendar} from "
            f"{plan.first} only {len(days)} are. Simulate fewer, or set an earlier `first`."
        )
    names = [f"SIM{i:02d}" for i in range(plan.symbols)]
    if plan.kind == "strata":
        strata = strata_market(sessions=len(days), symbols=plan.symbols, seed=plan.seed)
        names, columns = ["SIMX", *names], {"close": strata.close, "iv": strata.iv}
    elif plan.kind == "panel":
        panel = panel_market(sessions=len(days), symbols=plan.symbols, oracle_ic=plan.oracle_ic, seed=plan.seed)
        names = ["SIMX", *names]
        columns = {key: getattr(panel, key) for key in ("open", "high", "low", "close", "volume")}
    elif plan.kind == "breakouts":
        bars = breakout_market(sessions=len(days), symbols=plan.symbols, edge=plan.edge, seed=plan.seed)
        names, columns = ["SIMX", *names], {name: getattr(bars, name) for name in FIELDS}
    else:
        made = pinned_market(sessions=len(days), symbols=plan.symbols, share=plan.pinned_share, seed=plan.seed)
        columns = {"close": made.close, "volume": made.volume}
    frames = [
        pl.DataFrame({"session": days, **{key: values[:, i] for key, values in columns.items()}}).with_columns(
            symbol=pl.lit(name)
        )
        for i, name in enumerate(names)
    ]
    return picked(rows(pl.concat(frames), file=SIMULATED), settings)
