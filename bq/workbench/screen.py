"""What a job says at its end: one screen, nothing to scroll."""

import datetime as dt
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bq.core.log import printable
from bq.core.numerals import decimal
from bq.core.secrets import redact
from bq.runs.record import RunRecord
from bq.runs.verdict import Part, Verdict
from bq.strategies.events import NOTICES
from bq.workbench import hangs, looser
from bq.workbench.phrases import counted, looked, undone

FINDINGS = 3  # sentences of a notebook that a terminal shows
WARNINGS = 4  # that it shows
LOOKS = ": one for each model or trial whose result was shown (`make ledger` lists them)"
RED, BOLD, PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


def show(text: str) -> None:
    """Write to standard output, secrets redacted; colours only on a terminal.

    Any other control character came with data: replaced.
    """
    codes = (RED, BOLD, PLAIN)
    parts = re.split(f"({'|'.join(map(re.escape, codes))})", redact(text))
    coloured = sys.stdout.isatty()
    parts = [(part if coloured else "") if part in codes else printable(part) for part in parts]
    sys.stdout.write("".join(parts).rstrip("\n") + "\n")


def verdict(run: RunRecord, found: Verdict | None, report: Path, *, findings: Sequence[str] = ()) -> str:
    """The verdict of a run with its reasons, or the findings of its notebook, and where to read more."""
    lines = [f"{BOLD}{run.title}{PLAIN}"]
    if run.source in NOTICES:
        lines.append(f"{RED}{NOTICES[run.source]}{PLAIN}")
    if found:
        lines.append(_line("verdict", f"{BOLD}{found.headline}{PLAIN}"))
        if loosened := looser.said(found):
            lines.append(_line("", f"{RED}{loosened}{PLAIN}"))
        for part in found.components:
            lines.append(_line("", component(part)))
            if part.needed:
                lines.append(_line("", f"{'':<14}needed: {part.needed}"))
        if said := hangs.largest(found):
            lines.append(_line("", f"without the largest contributor: {said}"))
        lines.extend(_line("depends", text) for text in hangs.turns(found))
        lines.extend(_line("second tier", text) for text in found.second_tier[:1])
    lines.extend(_line("" if place else "shows", text) for place, text in enumerate(findings[:FINDINGS]))
    lines.extend(_line("warning", warning) for warning in run.warnings[:WARNINGS])
    if (more := len(run.warnings) - WARNINGS) > 0:
        lines.append(_line("", f"and {counted(more, 'more warning')}, in the report"))
    if held := run.ledger:
        lines.append(_line("ledger", f"{looked(held.looks, held.since, held.own)}{LOOKS if held.looks else ''}"))
    seconds = sum(phase.seconds for phase in run.phases)
    peak = max((phase.peak_rss_mib for phase in run.phases), default=0)
    lines.append(_line("cost", f"{decimal(seconds, 0)} s · peak {decimal(peak / 1024, 1)} GiB"))
    lines.append(where("report", report))
    return "\n".join(lines)


def component(part: Part) -> str:
    """One thing that had to hold."""
    return f"{part.mark:<14}{part.name}: {part.statement}"


def no_trigger(
    attempt: dict[str, Any], distances: Sequence[str], report: Path, *, rolled_back: dt.datetime | None
) -> str:
    """Nothing triggers a retrain: how far each trigger is, and the last attempt. rolled_back : its deployment, when."""
    return "\n".join(
        [
            f"{BOLD}{attempt['namespace']}: no trigger holds since {attempt['run_id']}{PLAIN}",
            *(_line("" if place else "triggers", text) for place, text in enumerate(distances)),
            _line("", "parameters, code and features are the same"),
            _line("verdict", attempt["verdict"]["headline"]),
            *([_line("", undone(attempt["decision"], rolled_back))] if rolled_back else []),
            where("report", report),
            _line("", "FORCE=1 runs it anyway"),
        ]
    )


def where(name: str, path: Path) -> str:
    """The line with which a target says where its page or its table is."""
    return _line(name, shown(path))


def shown(path: Path) -> str:
    """A path as a user of this folder types it; that of a page whole, as terminals and browsers open it."""
    here = Path.cwd()
    if path.suffix == ".html":
        return str(path.absolute())
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _line(name: str, text: str) -> str:
    return f"{name:<12}{text}"
