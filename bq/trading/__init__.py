"""From decisions to orders and positions: tracks, gates, order states, an append-only ledger, brokers.

Nothing here asks a clock: the caller says what time and which session it is, so that a replay drives it day by day.
"""
