"""`make mature`: what came of the decisions that are due, of every namespace that has any."""

from bq import market as markets
from bq.core.errors import BadData
from bq.core.log import log
from bq.core.settings import Market, Settings
from bq.jobs.request import Request
from bq.jobs.run import publish
from bq.market import MarketData
from bq.monitoring import maturing, recorded
from bq.monitoring.maturing import Matured
from bq.runs import folder
from bq.workbench import screen
from bq.workbench.phrases import counted


def main(request: Request) -> None:
    """Record the outcomes of all decisions that are due; say what is left, and of whom."""
    found = [maturing.mature(namespace) for namespace in recorded.namespaces()]
    publish.write_index()
    lines = [line for one in found for line in told(one)] or ["nothing was decided yet: `make scan`"]
    screen.show("\n".join([*lines, screen.where("dashboard", folder.index())]))
    faults = sum(fault.events for one in found for fault in one.faults)
    if faults:
        raise BadData(f"{counted(faults, 'event')} that was decided on must be built again, but cannot be: see above.")


def kept_up(settings: Settings, data: MarketData) -> list[str]:
    """Mature the decisions of one namespace in another job; a sentence for each part that cannot be.

    data : the market of these settings, as it was read already.
    """

    def load(asked: Market) -> MarketData:
        return data if asked == settings.market else markets.load(asked)

    found = maturing.mature(settings.namespace, load=load)
    if found.new or found.revised:
        log.info("%s", told(found)[0])
    return [f"{counted(fault.events, 'decided event')} cannot be matured: {fault.sentence}" for fault in found.faults]


def told(found: Matured) -> list[str]:
    """What a pass did, and a line for each reason why a part could not be done."""
    parts = [f"{counted(found.new, 'outcome')} recorded"]
    if found.revised:
        parts.append(f"{found.revised:,} revised, as history changed")
    if found.open:
        due = f", the next due on {found.next_due}" if found.next_due else ""
        parts.append(f"{found.open:,} open{due}")
    if found.came_to_nothing:
        parts.append(f"{found.came_to_nothing:,} of them due, but not found again among the events")
    faults = [f"            {counted(fault.events, 'event')} not built: {fault.sentence}" for fault in found.faults]
    return [f"outcomes    {found.namespace}: {'; '.join(parts)}", *faults]
