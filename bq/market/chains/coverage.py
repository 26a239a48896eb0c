"""Which sessions of which symbols have quotes that a structure can be priced from, and why the others have not."""

from enum import StrEnum

import polars as pl


class Unlisted(StrEnum):
    """Why a session of a symbol has no listed prices, by what is known then; judged in this order."""

    NOT_ASKED = "not_asked"
    NOT_QUOTED = "not_quoted"
    NONE_YET = "none_yet"
    NO_QUOTE = "no_quote"
    NO_PAIR = "no_pair"

    @property
    def text(self) -> str:
        """For people."""
        return {
            Unlisted.NOT_ASKED: "no quotes asked for (market.chains is false)",
            Unlisted.NOT_QUOTED: "closes never quoted, so that no strike is on their scale (`quoted` is false)",
            Unlisted.NONE_YET: "before the first two-sided quote of the symbol, or without any",
            Unlisted.NO_QUOTE: "no two-sided quote in the session: a gap, or after the last one",
            Unlisted.NO_PAIR: "no strike with a call and a put of an unadjusted contract in the session",
        }[self]


TYPE = pl.Enum([why.value for why in Unlisted])
SERIES = ("session", "expiry", "root", "settlement")


def adjusted() -> pl.Expr:
    """Whether a quote is of a contract adjusted for a corporate action: its root ends in a digit."""
    return pl.col("root").str.contains(r"\d$")


def pairs(quotes: pl.DataFrame) -> pl.DataFrame:
    """Strikes with a call and a put of an unadjusted contract: underlying, `SERIES`, strike."""
    both = quotes.filter(~adjusted()).group_by("underlying", *SERIES, "strike").agg(rights=pl.col("right").n_unique())
    return both.filter(pl.col("rights") == 2).drop("rights")


def unlisted(bars: pl.DataFrame, quotes: pl.DataFrame | None) -> pl.DataFrame:
    """Why each bar has no listed prices: symbol, session, unlisted (`TYPE`; null where it has), as `bars` are sorted.

    bars, quotes : the contracts; quotes None where none were asked for.
    """
    rows = bars.select("symbol", "session", "quoted")
    if quotes is None:
        return rows.select("symbol", "session", unlisted=pl.lit(Unlisted.NOT_ASKED, TYPE))
    of_symbol = quotes.group_by(symbol="underlying").agg(first=pl.col("session").min())
    of_session = quotes.select("session", symbol="underlying").unique().with_columns(any=pl.lit(True))
    of_pairs = pairs(quotes).select("session", symbol="underlying").unique().with_columns(pair=pl.lit(True))
    rows = rows.join(of_symbol, on="symbol", how="left", maintain_order="left")
    for found in (of_session, of_pairs):
        rows = rows.join(found, on=["symbol", "session"], how="left", maintain_order="left")
    reasons = {
        Unlisted.NOT_QUOTED: ~pl.col("quoted").first().over("symbol"),
        Unlisted.NONE_YET: pl.col("first").is_null() | (pl.col("session") < pl.col("first")),
        Unlisted.NO_QUOTE: pl.col("any").is_null(),
        Unlisted.NO_PAIR: pl.col("pair").is_null(),
    }
    why = pl.coalesce(pl.when(holds).then(pl.lit(reason.value)) for reason, holds in reasons.items())
    return rows.select("symbol", "session", unlisted=why.cast(TYPE))


def counted(rows: pl.DataFrame) -> pl.DataFrame:
    """unlisted, number, share of all: first those that are listed (null), then by reason in the order of `Unlisted`.

    rows : with a column `unlisted`, text or `TYPE`.
    """
    counts = rows.group_by(pl.col("unlisted").cast(TYPE)).agg(number=pl.len())
    none = pl.DataFrame(
        {"unlisted": [None], "number": [0]}, schema={"unlisted": TYPE, "number": counts["number"].dtype}
    )
    whole = counts if counts["unlisted"].has_nulls() else pl.concat([none, counts])
    return whole.sort("unlisted").with_columns(share=pl.col("number") / max(len(rows), 1))
