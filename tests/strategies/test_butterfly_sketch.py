"""What stands behind a butterfly knows whether its prices are those of the exchange, or shares of the price at t0."""

import polars as pl
import pytest
from event_samples import BUTTERFLY, build, butterfly_settings, walk

SHORT = "analysis.history_sessions=400"
BARS = walk("TOY", 450, seed=3)
DAY = BARS["session"][440]


def event_of(*, quoted: bool) -> dict:
    """The event of a session that closes at exactly 100."""
    close = pl.when(pl.col("session") == DAY).then(100.0).otherwise("close")
    bars = BARS.with_columns(close=close, quoted=pl.lit(quoted))
    return build(bars, {"TOY": [DAY]}, SHORT).events.row(0, named=True)


@pytest.mark.parametrize(
    ("quoted", "unit"),
    [pytest.param(True, "price", id="quoted"), pytest.param(False, "% of spot at t0", id="back-adjusted")],
)
def test_a_price_of_exactly_100_is_a_price_where_it_was_quoted(quoted, unit):
    event = event_of(quoted=quoted)
    assert event["spot"] == 100.0 and event["quoted"] is quoted
    sketch = BUTTERFLY.views.sketch(event, butterfly_settings(SHORT))
    assert sketch.unit == unit
    assert ("% of spot" in sketch.caption) is not quoted
    assert ("strike" in sketch.tables["The structure"].columns) is quoted
