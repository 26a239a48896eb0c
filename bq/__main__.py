"""`python -m bq <target>`: what the Makefile calls. Variables arrive through the environment (see README)."""

import importlib
import os
import sys

from bq.core import log
from bq.core.errors import BQError, did_you_mean

TARGETS = {  # target: module and function in bq.jobs, imported when asked for
    "bench": ("bench", "main"),
    "check-data": ("housekeeping", "check_data"),
    "explain": ("explain", "main"),
    "explore": ("notebook", "explore"),
    "report": ("housekeeping", "report"),
    "retrain": ("retrain", "main"),
    "rollback": ("housekeeping", "rollback"),
    "scan": ("scan", "main"),
    "status": ("status", "main"),
    "train": ("notebook", "train"),
    "verify": ("housekeeping", "verify"),
}


def main(arguments: list[str]) -> int:
    """Run one target; return its exit code: 0 done, 1 failed, 3 locked, 4 bad parameters, 5 bad data, 130 cancelled."""
    log.configure()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # worker processes are the unit of parallelism
    target = " ".join(arguments)
    try:
        if target not in TARGETS:
            hint = did_you_mean(target, TARGETS)
            raise BQError(f"python -m bq: must be called with one target, but got {target!r}; {hint}")
        module, function = TARGETS[target]
        from bq.jobs import request

        asked = request.read()
        getattr(importlib.import_module(f"bq.jobs.{module}"), function)(asked)
    except BQError as error:
        log.log.error("%s: %s", type(error).__name__, error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
