"""`python -m bq <target>`: what the Makefile calls. Variables arrive through the environment (see docs/commands.md).

Exit codes: 0 done (deployed or kept: both are normal), 1 failed, 3 another run holds the lock, 4 bad parameters,
5 bad data, 10 an alarm (check-drift), 11 a run is overdue (status, see `run.expected_every_days`), 130 cancelled by
SIGINT, SIGTERM or SIGHUP. What can be foreseen is one sentence on standard error, never a traceback (`BQ_LOG=DEBUG`
shows it too).
"""

import gc
import importlib
import io
import os
import resource
import signal
import sys
from collections.abc import Callable

from bq.core import files, log, signals
from bq.core.errors import BadParameters, BQError, did_you_mean

TARGETS = {  # target: module and function in bq.jobs, imported when asked for
    "ab": ("ab", "main"),
    "audit": ("audit", "main"),
    "backup": ("backup", "backup"),
    "calibrate": ("calibrate", "main"),
    "check-data": ("housekeeping", "check_data"),
    "check-drift": ("drift", "check"),
    "cluster": ("cluster", "main"),
    "collect": ("collect", "main"),
    "cycle": ("cycle", "main"),
    "dashboard": ("dashboard", "main"),
    "diff": ("diff", "main"),
    "drift": ("notebook", "drift"),
    "evaluate": ("evaluate", "main"),
    "explain": ("explain", "main"),
    "explore": ("notebook", "explore"),
    "fetch": ("fetch", "main"),
    "history": ("history", "main"),
    "ledger": ("ledger", "main"),
    "mature": ("mature", "main"),
    "migrate": ("migrate", "main"),
    "orders": ("traded_books", "show_orders"),
    "params": ("params", "main"),
    "pnl": ("traded_books", "show_pnl"),
    "positions": ("traded_books", "show_positions"),
    "reconcile": ("reconciling", "main"),
    "replay": ("replay", "main"),
    "report": ("housekeeping", "report"),
    "reproduce": ("reproduce", "main"),
    "restore": ("backup", "restore"),
    "resume": ("traded_books", "resume"),
    "retrain": ("retrain", "main"),
    "rollback": ("housekeeping", "rollback"),
    "scan": ("scan", "main"),
    "serve": ("serve", "main"),
    "stack": ("notebook", "stack"),
    "stop": ("traded_books", "stop"),
    "status": ("status", "main"),
    "trade-paper": ("trade_paper", "main"),
    "train": ("notebook", "train"),
    "tune": ("tune", "main"),
    "tune-ui": ("tune_ui", "main"),
    "tune-weights": ("tune_weights", "main"),
    "upload": ("upload", "main"),
    "verify": ("housekeeping", "verify"),
}

RARELY = 20_000  # objects more than were freed, until there is a look for garbage; Python's own 700 are for scripts
FEW_FILES = 256
RESERVE = 1 << 24  # bytes of address space given back before it is said that there is no more


def main(arguments: list[str]) -> int:
    """Run one target; return its exit code."""
    return guarded(lambda: _run(" ".join(arguments)))


def _run(target: str) -> int | None:
    if target not in TARGETS:
        hint = did_you_mean(target, TARGETS)
        raise BQError(f"python -m bq: must be called with one target, but got {target!r}; {hint}")
    module, function = TARGETS[target]
    gc.set_threshold(RARELY, 20, 20)  # what imports make lives as long as the process: to look through it costs .3 s
    from bq.jobs import request

    asked = request.read(target)
    job = importlib.import_module(f"bq.jobs.{module}")
    if asked.from_file is not None and target not in ("collect", "ab"):
        raise BadParameters(
            f"FROM_FILE must be given to `make collect` or `make ab`, but was to {target}: other targets use what was "
            'collected, by SET="market.source=labelled" or a line `source: labelled` in the parameter file.'
        )
    return getattr(job, function)(asked)


def guarded(work: Callable[[], int | None]) -> int:
    """Do the work; return its exit code (its own where it has one), what can be foreseen said in one sentence."""
    log.configure()
    signals.handle(signal.default_int_handler)  # all leave through the same clean-up
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: not every terminal has every character
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # worker processes are the unit of parallelism
    reserve = bytearray(RESERVE)
    try:
        return work() or 0
    except BQError as error:
        log.log.error("%s: %s", type(error).__name__, error)
        log.log.debug("", exc_info=True)
        return error.exit_code
    except KeyboardInterrupt:
        log.log.error("cancelled")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, ImportError, RuntimeError) as error:  # the last two: libraries that can load nothing more
        if not isinstance(error, MemoryError) and not _limited():
            raise
        del reserve  # what says so needs some memory too
        log.log.error("the process may hold no more memory or files: raise `ulimit -v` and `ulimit -n` (%s)", error)
        log.log.debug("", exc_info=True)
        return 1
    except OSError as error:
        log.log.error("%s: %s", type(error).__name__, files.explain(error))
        log.log.debug("", exc_info=True)
        return 1


def _limited() -> bool:
    """Whether the shell limits memory, or open files to fewer than libraries need."""
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    files_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return memory != resource.RLIM_INFINITY or files_open < FEW_FILES


if __name__ == "__main__":
    code = main(sys.argv[1:])
    gc.freeze()  # the process ends: its garbage is not looked for, which would cost 0.2 s
    sys.exit(code)
