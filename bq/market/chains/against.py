"""Snapshots held against what else is known of them: the bar's close of the session, and their own strikes."""

import polars as pl

from bq.market.chains.quotes import findings

SNAPSHOT = ("underlying", "session")
CLOSE = pl.Schema({"underlying": pl.String(), "session": pl.Date(), "close": pl.Float64()})
FLAGGED_DISTANCE = 0.02  # of the spot from the close as quoted: above it a snapshot is of another time of the day …
REFUSED_DISTANCE = 0.10  # … and above it of another security, another unit or another side of a split
STRIKE_SCALE = 100.0  # times the spot, or a fraction of it, beyond which half of a snapshot's strikes do not lie …
SCALE_CONTRACTS = 5  # … of so many or more: penny strikes are listed, but not alone


def closes(bars: pl.DataFrame) -> pl.DataFrame:
    """`CLOSE` of the bars whose closes are as quoted."""
    return bars.filter("quoted").select("session", "close", underlying="symbol").select(CLOSE.names())


def with_spots(rows: pl.DataFrame, close: pl.DataFrame, files: list[str]) -> pl.DataFrame:
    """Rows whose missing spots, in `files` that have no such column, are the closes of their sessions."""
    if not files:
        return rows
    joined = rows.join(close, on=SNAPSHOT, how="left", maintain_order="left")
    lacks = pl.col("file").is_in(files) & pl.col("spot").is_null()
    return joined.with_columns(spot=pl.when(lacks).then("close").otherwise("spot")).drop("close")


def held_against(rows: pl.DataFrame, close: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of snapshots that agree with what else is known, and findings about those that do not.

    rows : that break no rule, one spot a snapshot. close : `CLOSE`; sessions without one are not compared.
    """
    snapshots = rows.group_by(SNAPSHOT, maintain_order=True).agg(
        pl.col("file", "row", "spot").first(), scale=(pl.col("strike") / pl.col("spot")).median(), rows=pl.len()
    )
    snapshots = snapshots.join(close, on=SNAPSHOT, how="left", maintain_order="left")
    snapshots = snapshots.with_columns(distance=(pl.col("spot") / pl.col("close") - 1).abs())
    few = pl.col("rows") < SCALE_CONTRACTS
    scaled = (pl.col("scale") > STRIKE_SCALE) | ((pl.col("scale") < 1 / STRIKE_SCALE) & ~few)
    far = (pl.col("distance") > REFUSED_DISTANCE).fill_null(False)
    strikes = pl.format(
        "strikes must be in the unit of the spot, but the median of this snapshot's is {} times the spot, {}",
        pl.col("scale").round_sig_figs(3),
        "spot",
    )
    closing = pl.format("the spot must be near the bar's close as quoted, but is {} where that is {}", "spot", "close")
    judged = snapshots.with_columns(
        rule=pl.when(scaled).then(pl.lit("strike_scale")).when(far).then(pl.lit("spot_off_close")),
        detail=pl.when(scaled).then(strikes).otherwise(closing),
    )
    broken = judged.filter(pl.col("rule").is_not_null()).select(*SNAPSHOT, "rule", "detail")
    gone = rows.join(broken, on=SNAPSHOT, maintain_order="left")
    found = pl.concat([findings(gone, action="quarantined"), _some_way_off(judged.filter(pl.col("rule").is_null()))])
    return rows.join(broken, on=SNAPSHOT, how="anti", maintain_order="left"), found


def _some_way_off(snapshots: pl.DataFrame) -> pl.DataFrame:
    """A finding for each underlying whose spot is some way off its close, with how often and the worst."""
    off = (
        snapshots.with_columns(sessions=pl.len().over("underlying"))
        .filter(pl.col("distance") > FLAGGED_DISTANCE)
        .sort("distance", descending=True)
        .group_by("underlying", maintain_order=True)
        .agg(pl.col("file", "row", "session", "spot", "close", "sessions").first(), pl.col("rows").sum(), off=pl.len())
    )
    share = f"{FLAGGED_DISTANCE:.0%}"
    text = f"in {{}} of {{}} sessions the spot is more than {share} from the bar's close (worst: {{}} and {{}})"
    detail = pl.format(text, "off", "sessions", "spot", "close")
    return findings(off, action="flagged", rule="spot_off_close", detail=detail)
