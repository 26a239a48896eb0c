"""`make cycle`: what a day needs, in one command: retrain where a trigger holds, decide, and report on the models.

Each step leaves what it did whole, and does again only what is missing: killed at any point, the next cycle goes on.
"""

import datetime as dt

from bq import market as markets
from bq import runs
from bq.core.errors import BQError
from bq.core.log import log
from bq.jobs import notebook, retrain, scan
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.market import MarketData
from bq.monitoring import deciding, missed
from bq.runs.record import Job
from bq.serving import out_of_sample
from bq.strategies import store
from bq.workbench import screen
from bq.workbench.phrases import counted


def main(request: Request) -> None:
    """Outcomes, monitors, triggers and a retrain where one holds; then the scans that are missing; then the report.

    Where the retrain fails, the decisions are made all the same, and its error ends the cycle.
    """
    retrain.trainable(request)
    failed: BQError | None = None
    with protocol.lock(request.settings.namespace):
        try:
            screen.show(retrain.once(request))
        except BQError as error:
            failed = error
            log.error("the retrain failed, decisions are made all the same: %s", error)
        screen.show(f"\n{_scans(request)}")
        screen.show(f"\n{_report(request)}")
    if failed is not None:
        raise failed


def _scans(request: Request) -> str:
    """Decide on the newest session and on those missed since the last scan; what was decided, in words."""
    settings = request.settings
    if settings.market.table is not None:
        return "scan        none: a labelled table has no newest session"
    data = markets.load(settings.market)
    days = data.bars["session"].unique().sort().to_list()
    now = dt.datetime.now(dt.UTC)
    wanted = missed.sessions(settings.namespace, days, calendar=settings.market.calendar, now=now)
    if not wanted:
        return f"scan        none: {days[-1]}, the newest session with bars, was decided on"
    made = _decided(request, data, wanted)
    quiet = [session for session in wanted if session not in made]
    lines = [made[wanted[-1]].text] if wanted[-1] in made else [f"scan        {wanted[-1]}: nothing to decide"]
    early = [session for session in made if session != wanted[-1]]
    if early:
        late = sum(made[session].late for session in early)
        lines.append(
            f"caught up   {counted(len(early), 'session')} since the last scan, {early[0]} to {early[-1]}; {late} of "
            "them late: they count in no statistic"
        )
    if quiet[:-1]:
        lines.append(f"            {counted(len(quiet), 'session')} without anything to decide")
    return "\n".join(lines)


def _decided(request: Request, data: MarketData, wanted: list[dt.date]) -> dict[dt.date, scan.Kept]:
    """Decide on sessions, oldest first; those without an event are left out."""
    strategy, settings = request.strategy, request.settings
    inside = data.bars.filter(data.bars["session"].is_in(wanted)).group_by("symbol").agg("session").sort("symbol")
    events = store.on(strategy, settings, data, {symbol: sorted(days) for symbol, days in inside.rows()})
    if events.is_empty():
        return {}
    models = out_of_sample.load(strategy, settings)
    ranked = out_of_sample.ranking(data, strategy, settings, models)
    made = {}
    for (session,), rows in events.sort("session", "symbol").group_by("session", maintain_order=True):
        answer = deciding.answered(rows, strategy, settings, data, models=models, ranked=ranked)
        made[session] = scan.kept(answer, rows, request, data_hash=data.data_hash)
    return made


def _report(request: Request) -> str:
    """The report on monitoring, where anything was decided or came to its outcome since the last one."""
    namespace = request.settings.namespace
    now = missed.seen(namespace)
    made = [run for run in runs.every(str(namespace), job=Job.DRIFT) if run.record.good]
    if not now.scan_id:
        return "monitoring  no report: no decision counts yet"
    if made and made[0].record.seen == now:
        return f"monitoring  no new report: nothing was decided or came to its outcome since {made[0].folder.name}"
    return notebook.once(request, Job.DRIFT, notebook.DRIFT, seen=now)
