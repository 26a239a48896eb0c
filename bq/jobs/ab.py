"""`make ab`: tracks compared, of the ledger, of a replay or of a list of trades; `PLAN=`: how long a verdict takes."""

from typing import Any

from bq.core.errors import BadParameters, did_you_mean
from bq.jobs import compared
from bq.jobs.request import Request, value
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.monitoring import trades_file
from bq.monitoring.compared import Compared, Origin, Without
from bq.monitoring.compared_record import FILE, ComparisonRecord
from bq.runs.folder import REPORT
from bq.runs.record import Job
from bq.trading.comparison import Comparison
from bq.workbench import planned, screen
from bq.workbench.planned import Assumed
from bq.workbench.reading import comparison as words

NOTEBOOK = "05_ab_comparison"
SESSIONS_A_MONTH = words.SESSIONS_A_MONTH
WHOSE = {Origin.LEDGER: "ledger", Origin.REPLAY: "replay", Origin.FILE: "list of trades"}


def main(request: Request) -> None:
    """Compare, and show the verdicts; with PLAN= only what a comparison takes."""
    if request.run_id and request.from_file:
        raise BadParameters(
            "RUN and FROM_FILE must not both be given: the one is a replay, the other a list of trades."
        )
    if request.run_id:
        _, strategy, settings = compared.replayed(request.run_id)
        request = request._replace(strategy=strategy, settings=settings)
    if request.from_file:
        trades_file.read(request.from_file)  # a fault is said before anything runs
    if plan := value("PLAN"):
        assumed, known = _assumed(plan, request)
        screen.show("\n".join(planned.lines(assumed, told=known)))
        return
    with protocol.lock(request.settings.namespace):
        told = _compare(request)
    screen.show(told)


def _compare(request: Request) -> str:
    run = Run(request.settings, job=Job.AB)
    asked = {"replay": request.run_id or "", "base": value("TRACK") or ""}
    asked["trades"] = str(request.from_file.resolve()) if request.from_file else ""
    if request.from_file:  # of which only these are used: a market is none
        run.record.parameters = {"trading": request.settings.trading.model_dump(mode="json")}

    def work(run: Run) -> None:
        run.record.title = f"{request.settings.namespace} · tracks compared"
        run.notebook(NOTEBOOK, **asked)
        made = ComparisonRecord.read(run.folder / FILE, what=f"{run.folder.name}/{FILE}")
        run.record.source = made.source
        run.record.title += f" · {WHOSE[made.origin]} {made.name}".rstrip()
        run.record.headline = " ".join(words.verdicts(made))

    folder = protocol.perform(run, work)
    lines = words.verdicts(ComparisonRecord.read(folder / FILE, what=f"{folder.name}/{FILE}"))
    return "\n".join([run.record.title, *lines, screen.where("report", folder / REPORT)])


def _assumed(plan: str, request: Request) -> tuple[Assumed, str]:
    """What a plan assumes, and where its deviation comes from. PLAN=1: today's; else `name=number …` over it."""
    stated: dict[str, Any] = {} if plan == "1" else dict(_pair(text) for text in plan.split())
    if "deviation" in stated:
        return Assumed(**stated), "as stated"
    found = _found(request)
    known = found.decisions
    if isinstance(known, Without):
        return Assumed(**{**_today(found), **stated}), f"no deviation is known, {words.WITHOUT[known].rstrip('.')}"
    deviation = planned.measured(known.differences[0])
    told = "today's" if deviation is not None else "no deviation is known from so few sessions"
    return Assumed(**{**_today(found), "deviation": deviation, **stated}), told


def _found(request: Request) -> Compared:
    base = value("TRACK") or ""
    if request.from_file:
        return trades_file.compared(request.from_file, request.settings, base)
    return (
        compared.of_replay(request.run_id, base)
        if request.run_id
        else compared.of_ledger(request.strategy, request.settings, base)
    )


def _today(found: Compared) -> dict[str, float]:
    """Closed trades a month, the share of the better track among them, and the correlation of the books."""
    known: dict[str, float] = {}
    if isinstance(found.executions, Comparison):
        figures = found.executions.figures
        trades, sessions = sum(one.trades for one in figures), figures[0].sessions
        if trades and sessions:
            known["trades_a_month"] = trades / sessions * SESSIONS_A_MONTH
    if isinstance(found.decisions, Comparison):
        correlation = found.decisions.differences[0].correlation
        known |= {"correlation": correlation} if abs(correlation) < 1.0 else {}
    return known


def _pair(text: str) -> tuple[str, float]:
    """One assumption. Raises BadParameters for a name or a number that is none."""
    name, _, number = text.partition("=")
    if name not in Assumed._fields:
        raise BadParameters(
            f"PLAN must be 1, or hold name=number, but got {text!r}; {did_you_mean(name, Assumed._fields)}"
        )
    try:
        return name, float(number)
    except ValueError:
        raise BadParameters(f"PLAN: `{name}` must be a number such as 0.35, but got {number!r}.") from None
