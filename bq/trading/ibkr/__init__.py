"""The IBKR paper account, behind `bq.trading.broker.Broker`. Nothing else of the package knows the client library.

`guard` says what is no paper account; `wire` connects and asks, every wait with a time-out; `contracts`, `orders` and
`reading` translate; `listing` finds what is listed; `broker` is the account.
"""
