"""Tables of breakout trades that other systems made: their names."""

from bq.strategies.layout import Layout

LAYOUT = Layout(  # an R has no bound: a gap may lose more than the distance of the stop
    names={"outcome": ("r", "rmultiple", "netr", "rnet"), "kind": ("signaltype",)},
    texts={"kind": ("fast", "slow")},
    beside=("stop_share",),
    later=("entry_price", "quantity"),
)
