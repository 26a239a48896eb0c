"""`NOTIFY_CMD`: a command of the user's own that hears of a failure, an alert or a deployment.

It is split like a shell's words and run without a shell. In its environment are BQ_NOTIFY_EVENT (failed, killed,
deployed, or alert: of a scan with too many events unlike those that its model knows), BQ_NOTIFY_RUN, BQ_NOTIFY_HEADLINE
and BQ_NOTIFY_REPORT; one line of text is on its standard input.
"""

import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Literal

from bq.core.log import log
from bq.core.secrets import redact

Event = Literal["failed", "killed", "alert", "deployed"]
TIMEOUT_SECONDS = 30


def send(event: Event, *, run_id: str, headline: str, report: Path) -> None:
    """Tell the command, where there is one. That it fails or hangs is logged and changes nothing else."""
    given = os.environ.get("NOTIFY_CMD", "").strip()
    if not given:
        return
    headline = redact(" ".join(headline.split()))
    told = {"EVENT": event, "RUN": run_id, "HEADLINE": headline, "REPORT": str(report)}
    environment = os.environ | {f"BQ_NOTIFY_{name}": value.replace("\0", "") for name, value in told.items()}
    try:
        fault = _run(shlex.split(given), environment, f"{event}: {run_id}: {headline} ({report})\n")
    except (OSError, ValueError) as error:  # no such command, or words that do not split
        fault = str(error)
    if fault:
        log.warning("NOTIFY_CMD: must run and exit with 0 to hear of %s, but: %s. The run goes on.", event, fault)


def _run(words: list[str], environment: dict[str, str], text: str) -> str:
    """Run the command in a process group of its own; what went wrong, or nothing."""
    process = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        _, said = process.communicate(text, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"it did not end within {TIMEOUT_SECONDS} s"
    return f"it exited with {process.returncode} {said.strip()[-200:]}".strip() if process.returncode else ""
