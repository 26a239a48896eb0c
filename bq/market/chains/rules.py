"""What a quote must satisfy to be used: a table of rules, judged in its order."""

import polars as pl

from bq.market.chains.quotes import NUMBERS
from bq.market.rules import Rule, unprintable

NEEDED = ("underlying", "root", "session", "expiry", "right", "strike", "spot")
POSITIVE = ("strike", "spot")
COUNTED = ("volume", "open_interest")
NO_QUOTE = "no_quote"


def row_rules(*, calendar: str) -> list[Rule]:
    """All rules for rows that have the columns of `ROWS`, `is_session` and `shares_key`.

    A row that breaks `no_quote` is dropped, one that breaks any other rule is quarantined. `no_quote` comes after the
    rules about the row itself and before those about its price, so that what is counted as not quoted is only that.
    """
    bid, ask, right = pl.col("bid"), pl.col("ask"), pl.col("right").cast(pl.String)
    conflict = "a contract must have one quote a session, but another row has other values (here {} {} {}: {} to {})"
    return [
        *(Rule("missing", pl.col(name).is_null(), pl.lit(f"{name} must be given, but is empty")) for name in NEEDED),
        *(unprintable(name) for name in ("underlying", "root")),
        *(Rule("not_finite", ~pl.col(name).is_finite(), _but(name, "a finite number")) for name in NUMBERS),
        *(Rule("not_positive", pl.col(name) <= 0, _but(name, "> 0")) for name in POSITIVE),
        *(Rule("negative_count", pl.col(name) < 0, _but(name, ">= 0")) for name in COUNTED),
        *_days(calendar),
        Rule(NO_QUOTE, (bid.fill_null(0) <= 0) | (ask.fill_null(0) <= 0), pl.lit("bid and ask must both be > 0")),
        Rule("crossed", bid > ask, pl.format("bid must be <= ask, but bid is {} and ask {}", bid, ask)),
        Rule(
            "conflicting_duplicate",
            pl.col("shares_key"),
            pl.format(conflict, "expiry", right, "strike", *(_shown(name) for name in ("bid", "ask"))),
        ),
    ]


def _days(calendar: str) -> list[Rule]:
    session, expiry = pl.col("session"), pl.col("expiry")
    settles_at_open = pl.col("settlement") == "AM"
    closed = f"the session must be one of calendar {calendar}, but is none"
    over = "an option must not have expired, but its last day was {} and the quote is of {}"
    settled = "an AM-settled option last trades before its expiry, but expires on {} and the quote is of {}"
    return [
        Rule("closed_session", ~pl.col("is_session"), pl.lit(closed)),
        Rule("expired", expiry < session, pl.format(over, "expiry", "session")),
        Rule("expired", settles_at_open & (expiry == session), pl.format(settled, "expiry", "session")),
    ]


def _but(name: str, must: str) -> pl.Expr:
    return pl.format(f"{name} must be {must}, but is {{}}", name)


def _shown(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("unknown")
