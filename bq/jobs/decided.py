"""`make status DATE=2019-05-31`: who decided on that session, with what, what was expected and what came of it."""

import datetime as dt
from collections import Counter
from statistics import fmean

from bq.core import files
from bq.core.namespace import Namespace, Tier
from bq.core.numerals import decimal, with_sign
from bq.monitoring import looked_up
from bq.monitoring.looked_up import Decision, ScanOf
from bq.workbench.phrases import counted, signed

ROWS = 12  # decisions of a namespace that are shown
ID = 8  # characters of an event's id: `make explain` takes the beginning
HEAD = ("event", "symbol", "rank", "trade", "score", "expected", "class", "outcome", "came to")


def told(session: dt.date) -> str:
    """The whole answer, a block a namespace; where nothing was decided, when something was."""
    found = looked_up.on(session)
    if not found:
        before, after = looked_up.nearest(session)
        near = " and ".join(f"DATE={day}" for day in (before, after) if day)
        if not near:
            return f"{session}: nothing was decided, nor on any other session; `make scan` decides"
        return f"{session}: nothing was decided; the nearest sessions with decisions: {near}"
    names = sorted({scan.namespace for scan in found})
    return "\n".join(
        line for name in names for line in _block([one for one in found if one.namespace == name], session)
    )


def _block(scans: list[ScanOf], session: dt.date) -> list[str]:
    """One namespace: its scans, and the decisions of the one that counts, or else of the first."""
    shown = next((scan for scan in scans if scan.counts), scans[0])
    lines = [f"{shown.namespace} · {session} · {counted(len(scans), 'scan')}"]
    for scan in scans[:ROWS]:
        decided = f"decided {scan.decided_utc:%Y-%m-%d %H:%M} UTC by {_by(scan)}"
        lines.append(f"  scan {scan.scan_id:<6} {decided}: {_why(scan, scans)}")
    if len(scans) > ROWS:
        lines.append(f"              and {len(scans) - ROWS:,} more")
    lines.append(f"  of scan {shown.scan_id}")
    lines.append(f"  deployed    champion {shown.champion_id or 'none'}, second tier {shown.second_id or 'none'}")
    lines.append(f"  parameters  {_parameters(shown, session)}")
    lines.append(f"  data        {shown.data_hash or 'not recorded'}")
    lines.append(f"  code        {shown.code_digest or 'not recorded'} (of events)")
    return [*lines, *(f"  {line}" for line in _came_of_it(shown)), *(f"  {line}" for line in _table(shown.decisions))]


def _by(scan: ScanOf) -> str:
    """Who decided, each with how many."""
    who = Counter(f"{Tier(one.tier).label}{f' {one.model_id}' if one.model_id else ''}" for one in scan.decisions)
    return ", ".join(f"{name} ({count:,})" for name, count in who.most_common())


def _why(scan: ScanOf, scans: list[ScanOf]) -> str:
    """Whether it counts, and why not. scans : all of its session."""
    if scan.counts:
        return "counts"
    if scan.late is None:
        judged = "`make mature` judges it" if scan.parameters else "version 0.1 did not record by which calendar"
        return f"not counted, as it is not known whether it was in time: {judged}"
    first = next((one.scan_id for one in scans if one.counts and one.scan_id < scan.scan_id), None)
    return f"not counted: {f'scan {first} was first' if first else 'made outside the time from close to next open'}"


def _parameters(scan: ScanOf, session: dt.date) -> str:
    if scan.parameters is None:
        return "not recorded"
    namespace = Namespace.parse(scan.namespace)
    file = "" if namespace == Namespace(namespace.strategy) else f" PARAMS=<the file of {namespace}>"
    return f"{files.digest(scan.parameters)}, in full: make params STRATEGY={namespace.strategy}{file} DATE={session}"


def _came_of_it(scan: ScanOf) -> list[str]:
    """What those that were to be traded came to, beside all of the session."""
    ended = [one for one in scan.decisions if one.outcome is not None]
    traded = [one for one in ended if one.should_trade]
    due = max((one.t1_due for one in scan.decisions if one.outcome is None and one.t1_due), default=None)
    left = f", the last due {due:%Y-%m-%d}" if due else ""
    lines = [f"outcomes     {len(ended):,} of {len(scan.decisions):,} decisions have an outcome{left}"]
    if ended:
        said = f"mean outcome of all {len(ended):,}: {_mean(ended)}"
        lines.append(
            f"             {f'of the {len(traded):,} to be traded: {_mean(traded)}; ' if traded else ''}{said}"
        )
    return lines


def _mean(ended: list[Decision]) -> str:
    return signed(fmean(one.outcome for one in ended if one.outcome is not None))


def _table(made: list[Decision]) -> list[str]:
    """The first rows of all decisions, in columns; how many are left out."""
    rows = [_row(one) for one in made[:ROWS]]
    kept = [place for place, name in enumerate(HEAD) if any(row[place] for row in rows)]
    width = {place: max(len(row[place]) for row in (HEAD, *rows)) for place in kept}
    lines = ["  ".join(f"{row[place]:<{width[place]}}" for place in kept).rstrip() for row in (HEAD, *rows)]
    more = len(made) - len(rows)
    return [*lines, *([f"and {more:,} more, in the view v_decisions (docs/records.md)"] if more > 0 else [])]


def _row(one: Decision) -> tuple[str, ...]:
    weight = "" if one.weight is None else f" {with_sign(100 * one.weight, 1)}%"
    return (
        one.event_id[:ID],
        one.symbol,
        "" if one.rank is None else str(one.rank),
        ("yes" if one.should_trade else "no") + weight,
        decimal(one.score),
        "" if one.expected is None else signed(one.expected),
        one.predicted_class or "",
        "open" if one.outcome is None else signed(one.outcome),
        one.label or "",
    )
