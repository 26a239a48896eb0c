"""The parts of a replay's page about trading: what the tracks made in the ledger, their shadow books, and why not."""

from typing import Any

import polars as pl

from bq.core.scalars import number
from bq.core.settings import Settings
from bq.jobs import traded
from bq.jobs.replay_trading import Traded
from bq.workbench import plots
from bq.workbench.phrases import counted
from bq.workbench.table import table

Part = tuple[str, list[Any]]
ADVICE = (
    "P&L is what the ledger has: realised of closed positions after commissions, and open positions at the mark of the "
    "last close. A track trades its own share of the capital: compare returns on it, not amounts. No interval stands "
    "here: whether the tracks differ is not said by these sums."
)
EVERY = (
    "A shadow book has the whole capital and every symbol, whoever's it is on the account, and fills every order. Two "
    "of them differ by what was decided alone, session by session, which is what a comparison of decisions needs; the "
    "ledger's own difference is also one of symbols, limits and fills."
)


def parts(made: Traded, settings: Settings) -> list[Part]:
    """What the tracks traded, what each would have made on every opportunity, and what was refused."""
    return [
        ("What the tracks traded", [_said(made), *_ledger(made, settings)]),
        ("What each track would have made on every opportunity", _shadows(made, settings)),
        ("What was not traded, and why", [_refused(made)]),
    ]


def _said(made: Traded) -> str:
    agreed = f"{made.reconciled:,} of {counted(len(made.days), 'session')}"
    gone = f" {counted(made.gone, 'option leg')} went overnight: assigned, exercised or expired." if made.gone else ""
    return (
        "What was decided became orders at the dry-run broker of the replay's own world. They were filled in the next "
        "session or not, and positions were marked at every close and left by the strategy's exit rule. The account "
        f"agreed with the ledger on {agreed}.{gone}"
    )


def _ledger(made: Traded, settings: Settings) -> list[Any]:
    rows = [_track(track.name, track.share * settings.trading.capital, made) for track in settings.trading.tracks]
    capital = {track.name: track.share * settings.trading.capital for track in settings.trading.tracks}
    return [table(pl.DataFrame(rows), digits=2), ADVICE, _curve(made.tracks, capital, "P&L in the ledger")]


def _track(name: str, capital: float, made: Traded) -> dict[str, Any]:
    results, meant = made.journal.results.filter(track=name), made.journal.meant.filter(track=name)
    closed, held = results.filter(pl.col("left").is_not_null()), results.filter(pl.col("left").is_null())
    pnl = number(results["pnl"].sum())
    return {
        "track": name,
        "capital": capital,
        "P&L": pnl,
        "return on its capital [%]": 100.0 * pnl / capital,
        "realised": number(closed["pnl"].sum()),
        "open at mark": number(held["pnl"].sum()),
        "of it commissions": number(results["commissions"].sum()),
        "closed positions": len(closed),
        "won [%]": None if closed.is_empty() else 100.0 * number((closed["pnl"] > 0).mean()),
        "still open": len(held),
        "orders": int(meant["orders"].sum()),
        "filled": int(meant["filled"].sum()),
        "refusals": len(meant.filter(pl.col("refusal").is_not_null())),
    }


def _curve(rows: pl.DataFrame, capital: dict[str, float], what: str) -> Any:
    """Running sums of P&L on each track's fixed capital."""
    share = pl.col("pnl").cum_sum().over("track") / pl.col("track").replace_strict(capital, return_dtype=pl.Float64)
    wide = rows.with_columns(share=100.0 * share).pivot("track", index="session", values="share").sort("session")
    title = f"{what}, in percent of the track's capital"
    return plots.lines(wide, "session", list(capital), title=title, x_title="session", y_title="sum of P&L, %")


def _shadows(made: Traded, settings: Settings) -> list[Any]:
    capital = settings.trading.capital
    rows = []
    for track in settings.trading.tracks:
        days, closed = made.shadows.filter(track=track.name), made.closed.filter(track=track.name)
        pnl = number(days["pnl"].sum())
        rows.append(
            {
                "track": track.name,
                "P&L": pnl,
                "return on the capital [%]": 100.0 * pnl / capital,
                "closed positions": len(closed),
                "won [%]": None if closed.is_empty() else 100.0 * number((closed["pnl"] > 0).mean()),
                "still open": int(days["n_open"][-1]),
                "sessions": len(days),
            }
        )
    curve = _curve(made.shadows, {track.name: capital for track in settings.trading.tracks}, "P&L of the shadow books")
    return [EVERY, table(pl.DataFrame(rows), digits=2), curve]


def _refused(made: Traded) -> Any:
    """Refusals by track and reason."""
    refused = made.journal.meant.filter(pl.col("refusal").is_not_null())
    counts = refused.group_by("track", "refusal").agg(refusals=pl.len(), symbols=pl.col("symbol").n_unique())
    rows = [
        {"track": track, "why": traded.why_text(refusal), "refusals": times, "symbols": symbols}
        for track, refusal, times, symbols in counts.sort("track", "refusals", descending=[False, True]).rows()
    ]
    return table(pl.DataFrame(rows)) if rows else "Nothing was refused."
