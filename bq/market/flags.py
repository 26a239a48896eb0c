"""What looks odd in bars that hold: kept, and said."""

import datetime as dt

import polars as pl

from bq.market.bars import findings, folded

SPLIT_FACTORS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20)
SPLIT_TOLERANCE = 0.03  # relative distance of a price ratio from a split factor
JUMP = 0.4  # |log return| of the adjusted close
LONG_GAP_SESSIONS = 10
STALE_SESSIONS = 5
CONSTANT_SESSIONS = 20
EDGE_SESSIONS = 10  # a history that begins or ends so much inside that of all bars is flagged
SHORT_SESSIONS = 252
CENT = 1e-4  # by how much a close may miss a whole cent, besides what single precision loses of it
FRACTIONS_UNTIL = dt.date(2001, 4, 9)  # US prices were multiples of 1/64 before
OFF_CENTS = 0.2  # share of closes off whole cents above which they were never quoted

SIMULATED = "simulated"  # in place of a file's name: bars of a simulated market, whose closes have all digits


def flags(bars: pl.DataFrame) -> pl.DataFrame:
    """Findings about valid bars: jumps, gaps, stale prices, symbols that end early or are short.

    bars : sorted, with the columns of `ROWS` and `day`, the number of the session in its calendar.
    """
    previous = {f"previous_{name}": pl.col(name).shift().over("symbol") for name in ("session", "close", "adj", "day")}
    bars = bars.with_columns(**previous)
    return pl.concat(
        [_jumps(bars), _gaps(bars), _stale(bars), _whole_symbols(bars), _off_cents(bars), _spellings(bars)]
    )


def _jumps(bars: pl.DataFrame) -> pl.DataFrame:
    """`split_like`: the close changes by a split's factor and `adj` does not; `jump`: any other large return."""
    bars = bars.with_columns(
        ratio=pl.col("close") / pl.col("previous_close"), adj_ratio=pl.col("adj") / pl.col("previous_adj")
    ).filter((pl.col("ratio") * pl.col("adj_ratio")).log().abs() > JUMP)
    factors = [*SPLIT_FACTORS, *(1 / factor for factor in SPLIT_FACTORS)]
    near = pl.any_horizontal((pl.col("ratio") / factor - 1).abs() <= SPLIT_TOLERANCE for factor in factors)
    unadjusted = (pl.col("adj_ratio") - 1).abs() <= SPLIT_TOLERANCE
    detail = pl.format(
        "close {} after {} on {} (ratio {}); adj changed by a factor {}",
        "close",
        "previous_close",
        "previous_session",
        pl.col("ratio").round_sig_figs(4),
        pl.col("adj_ratio").round_sig_figs(4),
    )
    rule = pl.when(near & unadjusted).then(pl.lit("split_like")).otherwise(pl.lit("jump"))
    return findings(bars, action="flagged", rule=rule, detail=detail)


def _gaps(bars: pl.DataFrame) -> pl.DataFrame:
    """Sessions missing inside a history: a long gap at the session after it, short ones together for a symbol."""
    missing = pl.col("day").cast(pl.Int64) - pl.col("previous_day") - 1
    gaps = bars.with_columns(missing=missing).filter(pl.col("missing") > 0)
    is_long = pl.col("missing") > LONG_GAP_SESSIONS
    sessions = pl.when(pl.col("missing") == 1).then(pl.lit("session")).otherwise(pl.lit("sessions"))
    holes = pl.when(pl.col("gaps") == 1).then(pl.lit("gap")).otherwise(pl.lit("gaps"))
    after = pl.format("{} sessions missing after {}", "missing", "previous_session")
    short = (
        gaps.filter(~is_long)
        .group_by("symbol", maintain_order=True)
        .agg(pl.col("file", "previous_session").first(), pl.col("missing").sum(), gaps=pl.len())
    )
    counts = (pl.col("missing"), sessions, pl.col("gaps"), holes, pl.col("previous_session"))
    together = pl.format("{} {} missing in {} {}, the first after {}", *counts)
    return pl.concat(
        [
            findings(gaps.filter(is_long), action="flagged", rule="long_gap", detail=after),
            findings(short, action="flagged", rule="missing_sessions", detail=together),
        ]
    )


def _stale(bars: pl.DataFrame) -> pl.DataFrame:
    """Runs of one close without volume, reported at their first session."""
    quiet = pl.col("volume").fill_null(0) == 0
    bars = bars.with_columns(run=pl.struct("symbol", "close", quiet=quiet).rle_id()).filter(quiet)
    runs = bars.group_by("run", maintain_order=True).agg(
        pl.col("file", "row", "symbol", "session", "close").first(), length=pl.len()
    )
    detail = pl.format("close {} for {} sessions without volume", "close", "length")
    return findings(runs.filter(pl.col("length") >= STALE_SESSIONS), action="flagged", rule="stale", detail=detail)


def _whole_symbols(bars: pl.DataFrame) -> pl.DataFrame:
    symbols = bars.group_by("symbol", maintain_order=True).agg(
        pl.col("file").last(),
        length=pl.len(),
        quiet=(pl.col("volume") == 0).sum(),
        lowest=pl.col("close").min(),
        highest=pl.col("close").max(),
        late=pl.col("day").first().cast(pl.Int64),
        behind=pl.col("day").last().cast(pl.Int64),
    )
    symbols = symbols.with_columns(pl.col("late") - pl.col("late").min(), pl.col("behind").max() - pl.col("behind"))
    kinds = {
        "ends_early": (
            pl.col("behind") > EDGE_SESSIONS,
            "ends {} sessions before the newest of all bars: delisted?",
            "behind",
        ),
        "starts_late": (pl.col("late") > EDGE_SESSIONS, "begins {} sessions after the oldest of all bars", "late"),
        "short_history": (pl.col("length") < SHORT_SESSIONS, f"{{}} sessions, fewer than {SHORT_SESSIONS}", "length"),
        "no_volume": (pl.col("quiet") > 0, "volume is 0 in {} sessions", "quiet"),
        "constant": (
            (pl.col("length") >= CONSTANT_SESSIONS) & (pl.col("lowest") == pl.col("highest")),
            "the close is the same in all {} sessions",
            "length",
        ),
    }
    return pl.concat(
        findings(symbols.filter(holds), action="flagged", rule=rule, detail=pl.format(text, number))
        for rule, (holds, text, number) in kinds.items()
    )


def _off_cents(bars: pl.DataFrame) -> pl.DataFrame:
    """`adjusted_closes`: closes taken as quoted that nobody can have quoted; below 1, prices have more decimals."""
    close = pl.col("close")
    missed = (close - close.round(2)).abs()
    in_fractions = (pl.col("session") < FRACTIONS_UNTIL) & (((close * 64) - (close * 64).round()).abs() < 64 * CENT)
    off = (missed > pl.max_horizontal(pl.lit(CENT), close * 2e-7)) & ~in_fractions
    symbols = (
        bars.filter("quoted", close >= 1, pl.col("file") != SIMULATED)
        .group_by("symbol", maintain_order=True)
        .agg(pl.col("file").last(), share=off.mean(), length=pl.len())
        .filter(pl.col("share") > OFF_CENTS, pl.col("length") >= STALE_SESSIONS)
    )
    detail = pl.format(
        "{}% of closes are no whole cents: adjusted backwards? Then set market.quoted=false, or give the file "
        "a column `quoted` with false",
        (pl.col("share") * 100).round().cast(pl.Int64),
    )
    return findings(symbols, action="flagged", rule="adjusted_closes", detail=detail)


def _spellings(bars: pl.DataFrame) -> pl.DataFrame:
    """`letter_case`: symbols that differ by case or `^` alone, and may be one."""
    symbols = bars.group_by("symbol", maintain_order=True).agg(pl.col("file").last())
    symbols = symbols.with_columns(folded=pl.Series([folded(name) for name in symbols["symbol"]], dtype=pl.String))
    several = symbols.with_columns(names=pl.col("symbol").sort().str.join(", ").over("folded"))
    several = several.filter(pl.len().over("folded") > 1)
    detail = pl.format("{} differ by letter case or ^ alone: one symbol or several?", "names")
    return findings(several, action="flagged", rule="letter_case", detail=detail)
