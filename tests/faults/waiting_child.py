"""A run that waits inside its work, or inside its deployment, until something happens to it: see `started`."""

import sys
import tempfile
import time
from pathlib import Path

from bq import __main__ as program
from bq import strategies
from bq.core import files, params, paths
from bq.jobs.run import protocol

SECONDS = 60  # a test that fails must end


def main() -> None:
    where, ready, go_on = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    protocol.git_state, protocol.packages = dict, dict
    protocol.report.render = lambda _notebooks, target, **_: files.write_text(target, "report</html>")
    settings = params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)

    def work(run: protocol.Run) -> None:
        with run.phase(where, stoppable=where != "deployment"):
            tempfile.mkstemp()
            files.write_text(ready, run.run_id)
            end = time.monotonic() + SECONDS
            while not go_on.exists() and time.monotonic() < end:
                time.sleep(0.02)
            sys.stderr.write("the progress of a library\n")  # fails on a terminal that is gone
            sys.stderr.flush()
            run.record.status = "deployed" if where == "deployment" else "done"

    def job() -> None:
        with protocol.lock(settings.namespace):
            protocol.perform(protocol.Run(settings, job="retrain"), work)
        print("the end")

    sys.exit(program.guarded(job))


if __name__ == "__main__":
    main()
