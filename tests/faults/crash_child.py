"""The process that the crash tests hurt: it takes one task a line, and does each in a child forked while warm.

A task names the work, the home, and where the fault comes: at call number `n` of the kind `call`. Injected from outside
(`form` strace), the fault waits at call number BASE of every kind, which the tracer counts for each child anew; the
child first makes as many empty calls of that kind as leave n. Without a tracer (`form` python) the child stops or fails
itself.
"""

import ctypes
import errno
import importlib
import json
import logging
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from bq.core import db, files, paths
from bq.core.errors import BQError, Locked
from bq.core.namespace import Namespace
from bq.serving import registry
from bq.serving.registry import Artefact
from tests import stored

BASE = 1500  # more than the imports and any work make calls of one kind
NAMESPACE = Namespace.parse("toy")
FAILED, BUG = 1, 99
CHANGED = {"changed": "2020-03-02"}
SECONDS = 60  # a test that fails must end
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
AUDITED = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.symlink", "os.truncate", "sqlite3.connect")


def artefact(name: str) -> Artefact:
    return stored.artefact(f"graph {name}".encode() * 50, model=name, card={"verdict": "made by a test"})


def deploy(name: str) -> None:
    registry.clean(NAMESPACE)
    registry.deploy(NAMESPACE, artefact(name), reason=f"test {name}")


def retire(name: str) -> None:
    """Retire what its errors refuted; the first time a model is deployed, and found to be harmed."""
    import datetime as dt
    from types import SimpleNamespace

    from bq.monitoring import checks, refuted

    settings = SimpleNamespace(namespace=NAMESPACE, learning=SimpleNamespace(on_harm="retire"))
    if name == "old":
        deploy("old")
        harmed = {"what": "error_cusum", "model_id": artefact("old").model_id, "alarm": True}
        checks.enter([checks.Check(namespace="toy", day=dt.date(2020, 6, 1), n=9, **harmed, details=CHANGED)])
        return
    for one in refuted.among(settings, checks.newest(NAMESPACE)):
        refuted.retire(one, statement="its errors")


def write_state(name: str) -> None:
    files.clean(paths.home())
    files.write_json(paths.home() / "state.json", {"name": name, "long": [name] * 500})
    files.write_text(paths.home() / "new folder" / "page.html", f"{name * 5000}</html>")


def publish(name: str) -> None:
    """One run from its start to its published folder, with next to no work in it."""
    from bq import strategies
    from bq.core import params
    from bq.jobs.run import protocol
    from bq.runs.record import Job

    protocol.git_state, protocol.packages = dict, dict
    protocol.report.render = lambda _notebooks, target, **_: files.write_text(target, "report</html>")
    settings = params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)
    with protocol.lock(settings.namespace):
        run = protocol.Run(settings, job=Job.RETRAIN)
        protocol.perform(run, lambda run: files.write_text(run.folder / "table.csv", name * 1000))


BUTTERFLY = (
    "bq.strategies.butterfly.build",
    "bq.strategies.butterfly.listed",
    "bq.strategies.butterfly.modelled",
    "bq.kernels.arima",
    "bq.kernels.garch",
    "bq.kernels.linear",
    "bq.kernels.options",
    "joblib",
)
ORDERED = ("bq.strategies.butterfly.order", "bq.strategies.butterfly.payoff")
SIMULATED = "market.simulation.symbols=2 market.simulation.sessions=600"
SCANNED = {"old": -60, "new": -59, "next": -58}  # sessions from the end of the market
DUE = {"old": -20, "new": -10, "next": -1}  # the last session of the bars with which decisions are matured
DECIDED = (-65, -50, -40)  # the sessions of these
KEPT: list[bytes] = []  # settings and market, made once for all children


@lru_cache(maxsize=1)
def world():
    """A strategy, its settings, a market and its sessions."""
    from bq import strategies

    settings, market = pickle.loads(*KEPT) if KEPT else _settings_and_market()
    return strategies.get("butterfly"), settings, market, market.bars["session"].unique().sort().to_list()


def _settings_and_market():
    from bq import market, strategies
    from bq.core import params

    file = paths.CHECKOUT / "parameters" / "simulated" / "butterfly.yaml"
    settings = params.load(file, strategies.get("butterfly").settings, overrides=SIMULATED)
    return settings, market.load(settings.market)


def scan(name: str) -> None:
    """`make scan` of one session."""
    from types import SimpleNamespace

    from bq.jobs import scan as job

    strategy, settings, market, days = world()
    job.deciding.outcomes.in_time = lambda *_, **__: True  # as on the evening of the session
    job.market.load = lambda _: market
    job.screen.show = lambda _: None
    job.main(SimpleNamespace(strategy=strategy, settings=settings, date=days[SCANNED[name]]))


def mature(name: str) -> None:
    """Mature with bars up to a session; the first time there are decisions to be made before."""
    import datetime as dt
    from dataclasses import replace

    import polars as pl

    from bq.monitoring import deciding, maturing

    strategy, settings, market, days = world()
    for place in DECIDED if name == "old" else ():
        moment = dt.datetime.combine(days[place], dt.time(22), dt.UTC)
        deciding.decide(strategy, settings, market, days[place], decided_utc=moment)
    cut = replace(market, bars=market.bars.filter(pl.col("session") <= days[DUE[name]]), data_hash=name)
    maturing.mature(settings.namespace, load=lambda _: cut)


CHECKED = {"old": 24, "new": 45, "next": 45}  # weeks after the training
BROKEN = 22  # week from which a feature is again as it was in the training, and every outcome the opposite


def check_drift(name: str) -> None:
    """`make check-drift` on what stood at the end of a week; the first time a model is made and decides before."""
    import polars as pl
    import toy_world

    from bq.jobs import drift as job
    from bq.monitoring import outcomes

    events = toy_world.weeks_later()
    days = events["session"].unique().sort()
    late = pl.col("session") >= days[BROKEN]
    moved = pl.col("noise") + pl.when(late).then(0.0).otherwise(2.0)
    events = events.with_columns(noise=moved, outcome=pl.col("outcome") * pl.when(late).then(-1.0).otherwise(1.0))
    if name == "old":
        toy_world.decide_weekly(toy_world.train(), events)
    here, counted = toy_world.world_of(events, ""), outcomes.counted
    outcomes.counted = lambda namespace, **_: counted(namespace, through=days[CHECKED[name]])
    job.store.market_data = lambda _: here.market
    job.screen.show = lambda _: None
    job.check(here.request)


def cycle(name: str) -> None:
    """`make cycle` in the night after a session, with next to no work in retrain and notebook."""
    import datetime as dt
    from dataclasses import replace
    from types import SimpleNamespace

    import polars as pl

    from bq.jobs import cycle as job
    from bq.jobs import retrain, scan
    from bq.jobs.run import protocol
    from bq.monitoring import deciding

    strategy, settings, market, days = world()
    night = dt.datetime.combine(days[SCANNED[name]], dt.time(22, 30), dt.UTC)

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return night

    for module in (job, scan, deciding, protocol):
        module.dt = type("dt", (), {**vars(dt), "datetime": Clock})
    known = replace(market, bars=market.bars.filter(pl.col("session") <= days[SCANNED[name]]))
    job.markets.load = lambda _: known
    retrain.once = lambda _: "no trigger holds"
    for where in (job, scan):
        where.screen.show = lambda _: None
    protocol.git_state, protocol.packages = dict, dict
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    protocol.Run.notebook = lambda run, name: files.write_json(run.folder / f"{name}.ipynb", empty)
    protocol.Run.render = lambda run: files.write_text(run.folder / "report.html", "report</html>")
    job.main(SimpleNamespace(strategy=strategy, settings=settings, quick=False))


DRAWS = {"old": 1000, "new": 2000, "next": 2000}  # of the gate: what triggers is a changed parameter


def retrain(name: str) -> None:
    """`make retrain` after an edit of the parameters, with next to no work in notebooks, gate and page."""
    from types import SimpleNamespace

    import polars as pl

    from bq.jobs import attempt
    from bq.jobs import retrain as job
    from bq.jobs.request import Request
    from bq.jobs.run import protocol
    from bq.runs.verdict import Verdict
    from bq.serving import gates, ledger

    strategy, settings, market, days = world()
    gate = settings.gate.model_copy(update={"draws": DRAWS[name]})
    changed = settings.model_copy(update={"gate": gate})
    unused = dict.fromkeys(Request._fields)
    request = Request(**unused | {"strategy": strategy, "settings": changed, "quick": False, "force": False})
    made = SimpleNamespace(artefact=artefact(name), success=None)
    series = pl.DataFrame({"session": days[-50:-20], "value": 0.1, "baseline": 0.0, "everything": 0.0})

    def judge(run, request, data, collection, now) -> None:
        asked = attempt.Attempt(made, collection.events, data, strategy, run.settings, run.run_id)
        ledger.record(settings.namespace, [ledger.Look(ledger.GATE, run.run_id, 0, {}, series, ["SIM00"])])
        answer = attempt.Answer(gates.Verdict(True, settings.namespace.tier, []), None, [])
        shown = run.verdict = Verdict(decision="deployed", headline=f"test {name}")
        with run.phase("deployment", stoppable=False):
            job._execute(run, asked, answer, shown, now)

    job.store.market_data = lambda _: market
    job.walkforward.check = lambda *_: None
    job._judge = judge
    protocol.git_state, protocol.packages = dict, dict
    protocol.Run.notebook = lambda run, name: None
    protocol.Run.render = lambda run: files.write_text(run.folder / "report.html", "report</html>")
    protocol.report.render = lambda _notebooks, target, **_: files.write_text(target, "report</html>")
    with protocol.lock(settings.namespace):
        job.once(request)


WORKS = {
    "retrain": retrain,
    "deploy": deploy,
    "retire": retire,
    "write_state": write_state,
    "publish": publish,
    "scan": scan,
    "mature": mature,
    "cycle": cycle,
    "check_drift": check_drift,
}


WARM = {  # modules that a work uses, late ones too; imported and not used: the threads of polars do not outlive a fork
    "retire": ("bq.monitoring.refuted", "bq.core.migrate"),
    "publish": ("bq.jobs.run.protocol", "bq.strategies.butterfly", "bq.core.migrate"),
    "mature": ("bq.monitoring.deciding", "bq.monitoring.maturing", *BUTTERFLY),
    "scan": ("bq.jobs.scan", *ORDERED, *BUTTERFLY),
    "cycle": ("bq.jobs.cycle", "bq.monitoring.maturing", *ORDERED, *BUTTERFLY),
    "retrain": ("bq.jobs.retrain", "bq.monitoring.maturing", *BUTTERFLY),
    "check_drift": ("toy_world", "bq.jobs.drift", "scipy.stats"),
}


def warm(work: str) -> None:
    """Import all that the work imports, so that a child makes only the calls that belong to it."""
    db.sa.create_engine("sqlite://").connect().close()
    sys.path.insert(0, str(Path(__file__).parents[1] / "monitoring"))
    for name in ("bq.serving.journal", *WARM.get(work, ())):
        importlib.import_module(name)
    if work not in ("deploy", "retire", "write_state", "publish"):
        _keep_sessions()
    if work in ("scan", "mature", "cycle", "retrain"):
        KEPT.append(_apart(_settings_and_market))
    if work == "check_drift":
        _load_kernels()
    if work in ("scan", "cycle", "retrain"):
        _load_pages()


def _apart(make: Callable[[], object]) -> bytes:
    """What a function makes, pickled: made in a process of its own."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        with os.fdopen(writing, "wb") as made:
            pickle.dump(make(), made)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as made:
        content = made.read()
    os.waitpid(child, 0)
    return content


def _keep_sessions() -> None:
    """What an installation keeps of a calendar."""
    from bq.market import calendars

    _apart(lambda: calendars.sessions("XNYS"))


def _load_kernels() -> None:
    import numpy as np

    from bq.stats import bootstrap, shift

    few = np.zeros(2, np.float32)
    shift.ks(few, few), shift.binned(few, few)
    bootstrap.bootstrap_mean(few, block=1.0, alpha=0.1, draws=2, seed=0)


def _load_pages() -> None:
    """What every page is made with, which a process makes once: half of what a cycle takes."""
    import nbformat
    from plotly import graph_objects, subplots

    from bq.workbench import page, shell, theme

    panels = subplots.make_subplots(1, 2, subplot_titles=["one", "two"])
    panels.add_trace(graph_objects.Scatter(x=[0], y=[0], line={"width": 1}), 1, 1)
    theme.titled(panels, title="", note="", height=100).to_json()
    page.drawn([]), page._markdown()
    for name in ("page.html.j2", "index.html.j2"):
        shell.environment().get_template(name)
    nbformat.validate(nbformat.v4.new_notebook())


def spend(call: str, count: int) -> None:
    """Make empty calls of one kind: on no file, refused, counted all the same."""
    function = getattr(ctypes.CDLL(None), call)
    for _ in range(count):
        function(-1, 0, 0, 0)


def watch(home: str, hit: Callable[[int, str], None]) -> None:
    """Tell `hit` of every change this process is about to make to its home or database, by number and kind."""
    count = 0

    def change(kind: str) -> None:
        nonlocal count
        count += 1
        hit(count, kind)

    def audit(event: str, arguments: tuple) -> None:
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (opens or event in AUDITED) and os.fspath(arguments[0]).startswith(home):
            change(event)

    sync, write = os.fsync, Path.write_bytes

    def torn(path: Path, content: bytes) -> None:
        write(path, content[: len(content) // 2])
        change("write")
        write(path, content)

    def synced(descriptor: int) -> None:
        change("fsync")
        sync(descriptor)

    def executed(_: object, cursor: object, statement: str, *more: object) -> None:
        said = statement.lstrip().lower()
        if said.startswith(("insert", "update", "delete", "begin immediate")) or "pg_advisory_xact_lock" in said:
            change("sql")

    db.sa.event.listen(db.sa.Engine, "before_cursor_execute", executed)
    db.sa.event.listen(db.sa.Engine, "commit", lambda _: change("commit"))
    sys.addaudithook(audit)
    os.fsync, Path.write_bytes = synced, torn


def arm(task: dict) -> None:
    """Make the fault wait for the call of the task."""
    if task["form"] == "strace":
        spend(task["call"], BASE - task["n"])
        return

    def hit(number: int, _: str) -> None:
        if number == task["n"] and task["fault"] == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == task["n"] or (number > task["n"] and task["fault"] == "ENOSPC"):  # a full disk stays full
            code = getattr(errno, task["fault"])
            raise OSError(code, os.strerror(code))

    watch(task["home"], hit)


def hold(home: str, kind: str, ready: str, until: str) -> None:
    """Make this process wait before its first statement that changes the database, or before the commit of that.

    kind : sql or commit. ready : file that it writes when it is there. until : file that it waits for.
    """
    seen: list[str] = []

    def hit(_: int, found: str) -> None:
        seen.append(found)
        if found == kind and "sql" in seen and not Path(ready).exists():
            Path(ready).touch()
            end = time.monotonic() + SECONDS
            while not Path(until).exists() and time.monotonic() < end:
                time.sleep(0.02)

    watch(home, hit)


def attempt(task: dict) -> int:
    """Do one task; the exit code says whether it went well or was refused in a foreseen way."""
    os.environ["BQ_HOME"] = task["home"]
    if "database" in task:
        os.environ["BQ_DATABASE_URL"] = task["database"]
    if task.get("fault"):
        arm(task)
    if "hold" in task:
        hold(task["home"], task["hold"], task["ready"], task["until"])
    try:
        if task.get("listed"):  # every change by kind, for the test to choose from
            with Path(task["listed"]).open("w") as listed:
                watch(task["home"], lambda number, kind: listed.write(f"{number} {kind}\n"))
                WORKS[task["work"]](task["name"])
        else:
            WORKS[task["work"]](task["name"])
    except Locked:
        return Locked.exit_code
    except (OSError, BQError) as error:
        if "said" in task:
            Path(task["said"]).write_text(str(error))
        return FAILED
    return 0


def main() -> None:
    warm(sys.argv[1])
    logging.getLogger("bq").addHandler(logging.NullHandler())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            result = BUG
            try:
                result = attempt(json.loads(line))
            finally:
                if result == BUG:
                    traceback.print_exc()
                os._exit(result)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(json.dumps({"pid": child, "code": code}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
