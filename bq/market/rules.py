"""What a bar must satisfy to be used: a table of rules, judged in its order."""

import datetime as dt
from typing import NamedTuple

import polars as pl

from bq.market import calendars
from bq.market.bars import NUMBERS

NEEDED = ("symbol", "session", "close", "adj", "quoted")
POSITIVE = ("open", "high", "low", "close", "adj", "iv")
ROUNDING = 1e-4  # relative: how far open and close may print outside [low, high], for vendors that round prices
UNPRINTABLE = r"[\p{C}\p{Zl}\p{Zp}]"  # control, format and unassigned characters, line and paragraph separators
ABSURD = 1e20  # above it no price and no volume of any market; sums of it swallow everything else
FAR = 1e9  # times a symbol's median close or adj, or a fraction of it, that no history spans …
FAR_VOLUME = 1e6  # … times its median volume: a day of that …
FAR_IN_DAY = 1e4  # … times the close of its own session: erroneous trades have printed some thousand times it
SPIKE = 50.0  # times the closes before and after, or a fiftieth of both: a slipped decimal, or pence among pounds
MAX_IV = 5.0  # 500%: above it the column holds percent, not decimals


class Rule(NamedTuple):
    """A rule for one row: whether the row breaks it (null: it does not), and what to say."""

    name: str
    broken: pl.Expr
    detail: pl.Expr


def row_rules(*, calendar: str, now_utc: dt.datetime) -> list[Rule]:
    """All rules for rows with the columns of `ROWS`, `TYPICAL` and `BESIDE`, `day`, `close_utc` and `shares_key`."""
    return [*_values(), *_ranges(), *_absurd(), *_sessions(calendar=calendar, now_utc=now_utc)]


def _values() -> list[Rule]:
    """Rules about one number. `NaN > 0` is true in polars, hence a rule of its own for finiteness."""

    def but(name: str, must: str) -> pl.Expr:
        return pl.format(f"{name} must be {must}, but is {{}}", name)

    return [
        *(Rule("missing", pl.col(name).is_null(), pl.lit(f"{name} must be given, but is empty")) for name in NEEDED),
        unprintable("symbol"),
        *(Rule("not_positive", pl.col(name) <= 0, but(name, "> 0")) for name in POSITIVE),
        *(Rule("not_finite", ~pl.col(name).is_finite(), but(name, "a finite number")) for name in NUMBERS),
        Rule("negative_volume", pl.col("volume") < 0, but("volume", ">= 0")),
        Rule("iv_in_percent", pl.col("iv") > MAX_IV, but("iv", "a decimal (0.2 for 20%)")),
    ]


def unprintable(name: str) -> Rule:
    """Names that a terminal or a table would obey instead of showing them."""
    text = pl.format("{} must be printable, but is {} (� for what is not)", pl.lit(name), shown(pl.col(name)))
    return Rule("unprintable", pl.col(name).str.contains(UNPRINTABLE), text)


def shown(text: pl.Expr) -> pl.Expr:
    """Text with � for each character that is not printable."""
    return text.str.replace_all(UNPRINTABLE, "�")


def _ranges() -> list[Rule]:
    high, low = pl.col("high"), pl.col("low")

    def outside(name: str) -> Rule:
        above, below = pl.col(name) > high * (1 + ROUNDING), pl.col(name) < low * (1 - ROUNDING)
        text = f"{name} must lie in [low, high], but is {{}} with low {{}} and high {{}}"
        return Rule(
            "outside_range", above | below, pl.format(text, *(_shown(column) for column in (name, "low", "high")))
        )

    return [
        Rule("high_below_low", high < low, pl.format("high must be >= low, but high is {} and low {}", high, low)),
        outside("open"),
        outside("close"),
    ]


TYPICAL = ("close", "adj", "volume")  # columns `typical_…`: the symbol's own median, of what is > 0 and finite


def typical(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns `typical_…`: the lower median of a symbol's values, which a few absurd ones cannot move."""
    usable = {name: pl.col(name).filter(pl.col(name) > 0, pl.col(name) <= ABSURD) for name in TYPICAL}
    medians = rows.group_by("symbol").agg(
        values.quantile(0.5, interpolation="lower").alias(f"typical_{name}") for name, values in usable.items()
    )
    return rows.join(medians, on="symbol", how="left", nulls_equal=True, maintain_order="left")


BESIDE = ("to_before", "to_after")  # columns: close × adj over that of the bar before, and of the one after


def beside(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows, sorted by symbol and session, with the columns `BESIDE`; null where there is no such bar."""
    level, symbol = pl.col("close") * pl.col("adj"), pl.col("symbol")
    steps = zip(BESIDE, (1, -1), strict=True)
    return rows.with_columns(
        (level / pl.when(symbol == symbol.shift(by)).then(level.shift(by))).alias(name) for name, by in steps
    )


def _absurd() -> list[Rule]:
    """Finite values that are no prices or volumes of their symbol: one in a running sum, and the rest of it is lost."""

    def beyond(name: str) -> Rule:
        usual = pl.col(f"typical_{name}")
        broken = (pl.col(name) > usual * FAR) | (pl.col(name) < usual / FAR)
        text = pl.format(f"{name} must be within {FAR:.0e} times the symbol's median, {{}}, but is {{}}", usual, name)
        return Rule("absurd_value", broken, text)

    def above_close(name: str) -> Rule:
        text = f"{name} must be below {FAR_IN_DAY:,.0f} times the close, but is {{}} with close {{}}"
        return Rule("absurd_value", pl.col(name) > pl.col("close") * FAR_IN_DAY, pl.format(text, name, "close"))

    usual = pl.col("typical_volume")
    volume = f"volume must be below {FAR_VOLUME:,.0f} times the symbol's median, {{}}, but is {{}}"
    return [
        *(
            Rule(
                "absurd_value",
                pl.col(name) > ABSURD,
                pl.format(f"{name} must be below {ABSURD:.0e}, but is {{}}", name),
            )
            for name in NUMBERS
        ),
        *(beyond(name) for name in ("close", "adj")),
        _spike(),
        *(above_close(name) for name in ("open", "high")),
        Rule("absurd_value", pl.col("volume") > usual * FAR_VOLUME, pl.format(volume, usual, "volume")),
    ]


def _spike() -> Rule:
    """A price that is near to neither of those around it; one below 0 there, which is no price, tells nothing."""
    ratios = pl.col(*BESIDE)
    broken = pl.all_horizontal(ratios > SPIKE) | pl.all_horizontal(ratios.is_between(0.0, 1.0 / SPIKE, closed="none"))
    times = (pl.col(name).round_sig_figs(4) for name in BESIDE)
    text = (
        f"close must be within {SPIKE:.0f} times those before and after it, but is {{}} and {{}} times them (with adj)"
    )
    return Rule("absurd_value", broken, pl.format(text, *times))


def _shown(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("unknown")


def _sessions(*, calendar: str, now_utc: dt.datetime) -> list[Rule]:
    first = calendars.sessions(calendar)["session"][0]
    closed = f"the session must be one of calendar {calendar}, which begins {first}, but is none"
    closes = pl.col("close_utc").dt.to_string("%Y-%m-%d %H:%M UTC")
    conflict = "a symbol must have one bar a session, but another row has other values (close is {} here)"
    return [
        Rule("closed_session", pl.col("day").is_null(), pl.lit(closed)),
        Rule(
            "not_over", pl.col("close_utc") > now_utc, pl.format("the session must be over, but closes at {}", closes)
        ),
        Rule("conflicting_duplicate", pl.col("shares_key"), pl.format(conflict, "close")),
    ]
