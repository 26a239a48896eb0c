"""Notebooks and reports: the runner against papermill, the report against nbconvert, each from a cold start."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import polars as pl
from nbformat import v4
from plotly.utils import PlotlyJSONEncoder

from bq.workbench import notebooks, plots, report
from tests import devtools
from tests.bench.measure import Plan, cost, pair, version
from tests.bench.peers import NotMeasured
from tests.bench.row import Goal, Row
from tests.stored import run_record

TIMEOUT_SECONDS = 300
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
RUNNER = """
import sys
from pathlib import Path
from bq.workbench import notebooks
source, target = map(Path, sys.argv[1:])
notebooks.execute(source, target, parameters={}, run_dir=target.parent, cell_timeout_seconds=60, deadline_seconds=120)
"""


def command(*words: str) -> None:
    """Run Python with `words`. Raises NotMeasured with what it said last if it fails."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        what = " ".join(words[:2]) if words[0] == "-m" else "-c …"
        raise NotMeasured(f"`python {what}` must end well, but ended with: {said}")


def empty_notebook(plan: Plan) -> Row:
    """A notebook of one cell that does nothing, from the start of the process to the saved notebook."""
    with tempfile.TemporaryDirectory(prefix="bq-bench-") as folder:
        source, theirs, ours = (Path(folder) / f"{name}.ipynb" for name in ("empty", "theirs", "ours"))
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("pass")], metadata=metadata), source)
        times = pair(
            lambda: command("-m", "papermill", "--no-progress-bar", str(source), str(theirs)),
            lambda: command("-c", RUNNER, str(source), str(ours)),
            repeats=plan.n(full=7, quick=3, tiny=1),
        )
        inside = [_inside(source, ours) for _ in range(plan.n(full=3, quick=2, tiny=1))]
    return times.row(
        of="a notebook",
        n="1 cell",
        peer=version("papermill"),
        goal=cost(1.3),
        notes=(f"both as a new process, imports included; within a running job {np.median(inside):.2f} s",),
    )


def _inside(source: Path, target: Path) -> float:
    start = time.perf_counter()
    limits = {"cell_timeout_seconds": 60, "deadline_seconds": 120}
    notebooks.execute(source, target, parameters={}, run_dir=target.parent, **limits)
    return time.perf_counter() - start


def report_render(plan: Plan) -> Row:
    """A report of two notebooks with figures and tables, exporter warm."""
    figures = plan.n(full=10, quick=10, tiny=1)
    with tempfile.TemporaryDirectory(prefix="bq-bench-") as folder:
        sources = [Path(folder) / f"0{number}_notebook.ipynb" for number in (1, 2)]
        for source in sources:
            nbformat.write(_executed(figures), source)
        target = Path(folder) / "report.html"
        run = run_record(title="bench")

        def ours() -> None:
            report.render(sources, target, run=run, verdict=None)

        start = time.perf_counter()
        ours()
        first = time.perf_counter() - start
        convert = ("-m", "nbconvert", "--to", "html", "--no-input", "--log-level=ERROR")
        times = pair(lambda: command(*convert, *map(str, sources)), ours, repeats=plan.n(full=5, quick=3, tiny=1))
        size = target.stat().st_size
    seconds = float(np.median(times.ours))
    return Row(
        of="a report",
        n=f"2 notebooks, {2 * figures} figures, {2 * figures} tables",
        peer=version("nbconvert"),
        peer_seconds=float(np.median(times.peer)),
        ours_seconds=seconds,
        goals=(Goal("render", seconds, "≤", 0.2, " s"),),
        repeats=len(times.ours),
        spread=(float(times.ours.min()), float(times.ours.max())),
        notes=(
            f"the first of a process takes {first:.2f} s; {size / 1e6:.1f} MB",
            "the peer is its command line, cold",
        ),
    )


def first_paint(plan: Plan) -> Row:
    """When a reader sees the first of a report, in a browser that starts with nothing; its size and its requests."""
    if devtools.found() is None:
        raise NotMeasured("Chromium must be installed for a page to be opened, but is not")
    figures = plan.n(full=10, quick=10, tiny=1)
    with tempfile.TemporaryDirectory(prefix="bq-bench-") as folder, devtools.Browser() as browser:
        source, target = Path(folder) / "01_notebook.ipynb", Path(folder) / "report.html"
        nbformat.write(_executed(figures), source)
        report.render([source], target, run=run_record(title="bench"), verdict=None)
        seen = []
        for _ in range(plan.n(full=5, quick=3, tiny=1)):
            browser.open(target)
            seen.append(browser.evaluate(PAINTED))
            asked = browser.evaluate("performance.getEntriesByType('resource').length")
        size = target.stat().st_size
    seconds = np.array(seen) / 1000
    return Row(
        of="a report",
        n=f"{figures} figures, {figures} tables",
        ours_seconds=float(np.median(seconds)),
        goals=(
            Goal("first paint", float(np.median(seconds)), "≤", 1.0, " s"),
            Goal("size", size / 1e6, "≤", 3.0, " MB"),
            Goal("requests", asked, "≤", 0),
        ),
        repeats=len(seconds),
        spread=(float(seconds.min()), float(seconds.max())),
        notes=("first contentful paint by the browser's own clock, from the start of the navigation",),
    )


def _executed(figures: int) -> nbformat.NotebookNode:
    """A notebook as a run leaves it: prose, figures of 1,500 points, tables of 20 rows."""
    random = np.random.default_rng(6)
    cells = []
    for number in range(figures):
        walk = pl.DataFrame({"x": np.arange(1500), "y": random.standard_normal(1500).cumsum()})
        drawn = plots.lines(walk, "x", ["y"], title=f"Walk {number}", x_title="step", y_title="sum").to_plotly_json()
        shown = {report.PLOTLY: {"data": drawn["data"], "layout": drawn["layout"]}, "text/plain": "figure"}
        listed = {"text/html": plots.table(walk.head(20))._repr_html_(), "text/plain": "table"}
        outputs = [v4.new_output("display_data", data=data) for data in (_plain(shown), listed)]
        cells += [v4.new_markdown_cell(f"## Part {number}\n\nWhat it shows."), v4.new_code_cell("…", outputs=outputs)]
    return v4.new_notebook(cells=cells)


def _plain(data: dict) -> dict:
    """Through plotly's own JSON, as the kernel sends it."""
    return json.loads(json.dumps(data, cls=PlotlyJSONEncoder))
