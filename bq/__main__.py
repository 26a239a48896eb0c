"""`python -m bq <target>`: what the Makefile calls. Variables arrive through the environment (see README)."""

import os
import sys

from bq.core import log
from bq.core.errors import BQError, did_you_mean


def main(arguments: list[str]) -> int:
    """Run one target; return its exit code: 0 done, 1 failed, 3 locked, 4 bad parameters, 5 bad data, 130 cancelled."""
    log.configure()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # worker processes are the unit of parallelism
    target = arguments[0] if len(arguments) == 1 else ""
    try:
        return _run(target)
    except BQError as error:
        log.log.error("%s: %s", type(error).__name__, error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _run(target: str) -> int:
    from bq.jobs import request

    if target == "status":
        from bq.jobs import status

        status.main(request.read())
    elif target in ("verify", "rollback", "report", "check-data"):
        from bq.jobs import housekeeping

        getattr(housekeeping, target.replace("-", "_"))(request.read())
    elif target == "retrain":
        from bq.jobs import retrain

        retrain.main(request.read())
    elif target in ("explore", "train"):
        from bq.jobs import notebook

        notebook.main(request.read(), target)
    elif target == "explain":
        from bq.jobs import explain

        explain.main(request.read())
    elif target == "scan":
        from bq.jobs import scan

        scan.main(request.read())
    else:
        targets = ("retrain", "explore", "train", "scan", "explain", "status", "verify", "rollback", "report", "check-data")
        raise BQError(
            f"python -m bq: must be called with one target, but got {target!r}; {did_you_mean(target, targets)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
