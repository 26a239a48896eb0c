"""The layouts in which vendors ship bars and chains: each a function that renames, unfolds or cleans what it knows.

A recogniser takes a `Table` and gives one that the general reader (`market.columns`, `chains.columns`) understands, or
None where the layout is another. It judges by the names of columns, never by the name of a file. A file that no
recogniser knows is read by the general reader alone.
"""

from collections.abc import Callable, Sequence

from bq.market.recognisers import (
    alpha_vantage,
    crsp,
    investing,
    metatrader,
    nasdaq,
    one_row_chains,
    stooq,
    thousandths,
    wide,
    yfinance,
)
from bq.market.tables import Table

Recogniser = Callable[[Table], Table | None]

BARS: Sequence[Recogniser] = (
    yfinance.recognise,
    stooq.recognise,
    metatrader.recognise,
    nasdaq.recognise,
    investing.recognise,
    alpha_vantage.recognise,
    crsp.recognise,
    wide.recognise,
)
CHAINS: Sequence[Recogniser] = (one_row_chains.options_dx, one_row_chains.orats, thousandths.recognise)


def recognised(table: Table, recognisers: Sequence[Recogniser]) -> Table:
    """The table as the first recogniser that knows its layout gives it, or as it is."""
    return next((known for recognise in recognisers if (known := recognise(table)) is not None), table)
