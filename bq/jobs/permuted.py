"""`make audit PERMUTE=100`: where the result on the bars as they are stands among those on other orders of them."""

from pathlib import Path
from typing import Any

import polars as pl

from bq.audit import standing
from bq.audit.permutation import BLOCK_SESSIONS, LEAST_SHARE
from bq.audit.standing import Result, Standing
from bq.core import files
from bq.core.log import log
from bq.core.numerals import decimal, percent, with_sign
from bq.jobs import retrain
from bq.jobs.request import Request
from bq.market import MarketData
from bq.strategies import registered
from bq.workbench import plots, screen
from bq.workbench.phrases import counted

KEPT = {
    **{"key": pl.String, "order": pl.Int64, "uplift": pl.Float64, "net": pl.Float64},
    **{"sessions": pl.Int64, "symbols": pl.Int64},
}
FIGURES = {"uplift": "uplift over the rule score", "net": "what the candidate earns"}
HOW = (
    f"The days of all symbols together, in blocks of {BLOCK_SESSIONS} sessions, gaps overnight and moves within the "
    "day apart, were put in random orders: every symbol makes the same moves in all, and what one day says of later "
    "ones is gone. Each order went the unmodified way through events and walk-forward training. p is the share of "
    "all results, the real one among them, that are at least as large; it cannot be below 1 / (n + 1). The real "
    "result is that of the same bars in their own order: back-adjusted, of the symbols with a bar in the first, the "
    f"last and {percent(LEAST_SHARE)} of all sessions, without sectors. Where implied volatility is modelled from "
    "past moves, an order of days without memory makes its forecasts worse than they are, and an option strategy may "
    "find that: such a p tends to be too large."
)


def parts(request: Request, data: MarketData, target: Path) -> list[Any]:
    """What the page says of it; shown on the screen as well. Results are kept in `target` as they come: it goes on."""
    settings = request.settings
    key = files.digest(
        [
            data.data_hash,
            settings.model_dump(mode="json"),
            retrain.code_digest(),
            registered.digests(request.strategy.features(settings).columns),
        ]
    )
    kept = _read(target, key)

    def keep(one: Result) -> None:
        kept[one.order] = one
        rows = [{"key": key, **result._asdict()} for result in kept.values()]
        files.write_text(target, pl.DataFrame(rows, schema=KEPT).write_csv())

    if kept:
        log.info("%d results of an earlier call are kept: %s", len(kept), target)
    found = standing.results(data, request.strategy, settings, count=request.permute, known=dict(kept), keep=keep)
    said = [told(name, standing.standing(found, figure)) for figure, name in FIGURES.items()]
    screen.show("\n".join(said))
    table = pl.DataFrame([one._asdict() for one in found[1:]], schema_overrides={"order": pl.Int64})
    drawn = [
        plots.histogram(table, figure, title=f"Permuted bars: {name}", x_title=f"{figure}, mean over sessions")
        for figure, name in FIGURES.items()
    ]
    return [*said, *drawn, HOW]


def told(name: str, found: Standing) -> str:
    """Where a figure stands, in words."""
    permuted = pl.Series(found.permuted)
    low, middle, high = (permuted.quantile(q, "linear") or 0.0 for q in (0.05, 0.5, 0.95))
    orders = counted(len(found.permuted), "order")
    return (
        f"{name}: {with_sign(found.real, 4)} a session on the bars as they are; on {orders} of their days median "
        f"{with_sign(middle, 4)}, 90% between {with_sign(low, 4)} and {with_sign(high, 4)}; p = "
        f"{decimal(found.probability)} (at least {decimal(1 / (1 + len(found.permuted)))})"
    )


def _read(path: Path, key: str) -> dict[int, Result]:
    """Results of an earlier call with the same bars, parameters and code, by order."""
    if not path.is_file():
        return {}
    try:
        table = files.read_csv(path, schema=KEPT).filter(pl.col("key") == key)
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("%s cannot be read and begins anew: %s", path, error)
        return {}
    return {row["order"]: Result(**row) for row in table.drop("key").iter_rows(named=True)}
