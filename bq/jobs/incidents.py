"""What of a day of trading a person should know: alerts that are opened, and closed once it is over."""

from bq.jobs import traded
from bq.monitoring import checks
from bq.monitoring.checks import Severity
from bq.trading import assignment, daily
from bq.trading.daily import Day
from bq.trading.trader import Trader

ODD_LEGS, OVERNIGHT, NOT_RECONCILED = "trading.odd_legs", "trading.overnight", "trading.not_reconciled"


def alert(trader: Trader, day: Day) -> None:
    """Open an alert for each kind of incident there is, close those that are over.

    What became of option legs overnight is read off the ledger, of this session and the one before: a run that was
    killed after it booked it did not tell.
    """
    namespace = trader.settings.namespace
    gone = assignment.booked(trader.broker.account, trader.namespace, since=daily.session_before(trader))
    overnight = [f"{row.session} {row.track} {row.symbol} {-row.quantity:+d}: {row.reason}" for row in gone]
    told = {
        ODD_LEGS: [traded.odd_text(one.held) for one in day.held if one.held.odd],
        OVERNIGHT: overnight,
        NOT_RECONCILED: [] if day.reconciled.holds else traded.differences(day.reconciled),
    }
    for kind, lines in told.items():
        if lines:
            said = "; ".join(lines)
            checks.open_alert(namespace, kind=kind, severity=Severity.GRAVE, statement=said, check_ids=[])
        else:
            checks.close(namespace, kind=kind)
