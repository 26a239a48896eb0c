"""The main job: events → walk-forward training → gate → deploy or keep → report."""

import datetime as dt

import polars as pl

from bq import runs
from bq.core import files, params, paths
from bq.core.errors import BadData, BQError
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.core.numerals import stated
from bq.core.scalars import count
from bq.jobs import attempt, drift, health, mature, presentation, trades, trigger
from bq.jobs.attempt import Answer, Attempt
from bq.jobs.request import Request
from bq.jobs.run import protocol, publish
from bq.jobs.run.protocol import Run
from bq.learning import layer_diagnostics, layers, walkforward
from bq.market import MarketData, check, prints
from bq.monitoring import kept, refuted
from bq.monitoring.checks import Check
from bq.monitoring.refuted import Refuted
from bq.monitoring.triggers import State
from bq.runs import folder as names
from bq.runs.record import Download, Findings, Job, Known, Status
from bq.runs.verdict import Verdict as Presented
from bq.serving import candidate, contributors, gates, ledger, registry, verdict_text
from bq.strategies import store
from bq.strategies.events import weakest_source
from bq.strategies.store import Collection
from bq.workbench import drifted, screen, tearsheet
from bq.workbench.phrases import counted

NOTEBOOKS = ("01_feature_exploration", "02_walk_forward_training")
STACKING = "03_stacking"  # of a stack alone
BARS = "bars"  # table of a run: see `bq.market.prints`
CHANGES = 20  # parameters that a record names


def main(request: Request) -> None:
    """Where a trigger holds: train, judge and report; else say how far each is."""
    trainable(request)
    with protocol.lock(request.settings.namespace):
        told = once(request)
    screen.show(told)


def trainable(request: Request) -> None:
    """Refuse settings that cannot be trained."""
    strategy, settings = request.strategy, request.settings
    layers.check(settings.learning, layers.kind_of(len(strategy.task(settings).classes)))


def once(request: Request) -> str:
    """Train where a trigger holds; what became of it, in words. The lock of the namespace must be held.

    A deployed model that its errors refute is retired, and what follows from that is done in the run after.
    """
    run = Run(refuted.under_law(request.settings), job=Job.QUICK if request.quick else Job.RETRAIN)
    retired: list[Refuted] = []
    folder = protocol.perform(run, lambda under_way: _attempt(under_way, request, retired))
    if retired:
        told = [f"retired     {drifted.retirement(one.check)}" for one in retired]
        return "\n".join([*told, "", once(request)])
    if run.idle:
        publish.write_index()
        return _told_idle(request.settings.namespace, run)
    return screen.verdict(run.record, run.verdict, folder / names.REPORT)


def _told_idle(namespace: Namespace, run: Run) -> str:
    """No trigger holds, which only an earlier attempt can bring about."""
    last = ledger.last_attempt(namespace)
    assert last is not None
    rolled_back, told = registry.undone().get(last["run_id"]), trigger.distances(run.record.triggers)
    return screen.no_trigger(last, told, names.report(last["run_id"]), rolled_back=rolled_back)


def _attempt(run: Run, request: Request, retired: list[Refuted]) -> None:
    """Read the market and its events; do the work where a trigger holds, or for a quick look.

    retired : takes the models that are retired here; then nothing else is done.
    """
    settings = run.settings
    with run.phase("market data"):
        data = store.market_data(settings)
    with run.phase("outcomes"):
        run.record.warnings.extend(mature.kept_up(settings, data))
    describe_market(run, data)
    with run.phase("monitoring"):
        made = _watched(request, data)
    if refuted_now := [] if request.quick else refuted.among(request.settings, made):
        with run.phase("retirement", stoppable=False):
            for one in refuted_now:
                refuted.retire(one, statement=drifted.retirement(one.check))
                log.warning("retired: %s", drifted.retirement(one.check))
        retired.extend(refuted_now)
        run.idle = True
        return
    refuted.settle(settings.namespace)
    run.record.warnings.extend(drifted.statement(check) for check in made if check.alarm)
    with run.phase("events"):
        collection = store.collect(request.strategy, settings, data)
    now = trigger.state(request, data, collection.events, code_digest())
    run.record.triggers = trigger.found(request, now, collection.events)
    if not request.quick and not any(one.holds for one in run.record.triggers):
        run.idle = True
    else:
        _describe(run, request, data, collection, now)
        with store.handed_over(collection, data, run.folder) as returned:
            del collection, data  # the notebooks read them from the disk, in processes of their own
            for name in [*NOTEBOOKS, *([STACKING] if settings.learning.model == layers.STACK else [])]:
                run.notebook(name)
            with run.phase("events from disk"):
                collection, data = returned()
        _judge(run, request, data, collection, now)
    if not request.quick:
        keep_distances(request, now, collection.events)


def keep_distances(request: Request, now: State, events: pl.DataFrame) -> None:
    """Keep how far each trigger of the next retrain is, for who looks; what was done here stands without it."""
    try:
        kept.enter(request.settings.namespace, trigger.ahead(request, now, events))
    except BQError as error:
        log.warning("the distances of the triggers are not kept: %s", error)


def _watched(request: Request, data: MarketData) -> list[Check]:
    """The checks of the deployed models, recorded. Nothing where none is deployed."""
    namespace = request.settings.namespace
    if not any(registry.pointer_or_none(tier) for tier in (namespace, namespace.second)):
        drift.silence(namespace)
        return []
    return [*drift.made(drift.monitor(request, data)), *drift.perform(request)]


def code_digest() -> str:
    """Digest of all code and notebooks: what a new attempt would run."""
    sources = [*sorted((paths.CHECKOUT / "bq").rglob("*.py")), *sorted(paths.notebooks().glob("*.ipynb"))]
    return files.digest_of_files(sources, paths.CHECKOUT)


def _describe(run: Run, request: Request, data: MarketData, collection: Collection, now: State) -> None:
    """Put into the run's record what it works on; refuse what cannot be trained on."""
    strategy, settings = request.strategy, run.settings
    files.write_parquet(names.table(run.folder, BARS), prints.of_bars(data.bars))
    describe_events(run, collection)
    for notice in strategy.views.notices(collection.events, settings):
        log.warning("%s", notice)
        run.record.warnings.append(notice)
    run.record.known = Known(variants=now.variants, matured_by=now.matured_by)
    walkforward.check(collection.events, strategy, settings)


def _judge(run: Run, request: Request, data: MarketData, collection: Collection, now: State) -> None:
    """Judge what the notebooks trained, and do what the gate says."""
    strategy, settings = request.strategy, run.settings
    with run.phase("gate"):
        made = candidate.load(run.folder)
        if made.artefact.bundle.events_hash != collection.data_hash:
            raise BadData(
                "the notebook must train on the events of this run, but trained on others; was data/ changed meanwhile?"
            )
        if settings.learning.model == layers.STACK:
            ic = layer_diagnostics.layer_ic(made.layers, made.own_oos, blocks=gates.blocks(made.own_oos, settings))
            run.record.warnings.extend(layer_diagnostics.notices(ic, made.weights))
        run.record.health = health.counters(made, collection, data, strategy, settings)
        asked = Attempt(made, collection.events, data, strategy, settings, run.run_id, force=request.force)
        attempt.enter(asked, quick=request.quick)
        answer = attempt.judge(asked)
        ours, second = answer.ours, answer.second
        run.record.warnings += answer.warnings
        deciding = gates.at_level(settings, ours.level)
        without = contributors.of(_with_kind(made.own_oos, collection.events, request), strategy, deciding, data)
        shown = run.verdict = presentation.present(ours, second, made, request, without=without)
        trades.save(made, collection.events, run.folder, strategy=strategy, settings=settings)
        label = "Trades of the candidate and of the rule score (CSV)"
        run.record.downloads.append(Download(label=label, file=names.TRADES))
        earned = tearsheet.results(made.own_oos, strategy, settings, events=collection.events, bars=data.bars)
        title = f"Tear sheet · {run.record.title}"
        target, bars = run.folder / names.TEARSHEET, settings.market.source
        tearsheet.write(target, earned, shown, title=title, source=run.record.source, bars=bars)
        run.record.downloads.append(Download(label="Tear sheet: by month, drawdowns, by symbol", file=names.TEARSHEET))
    if request.quick:
        run.record.headline = shown.headline
        return
    with run.phase("deployment", stoppable=False):
        _execute(run, asked, answer, shown, now)


def _with_kind(oos: pl.DataFrame, events: pl.DataFrame, request: Request) -> pl.DataFrame:
    kinds = events.select("event_id", kind=request.strategy.table.kind)
    return oos.drop("kind", strict=False).join(kinds, on="event_id", how="left", maintain_order="left")


def _execute(run: Run, asked: Attempt, answer: Answer, shown: Presented, now: State) -> None:
    """Deploy if the gate says so, then record the attempt."""
    ours = answer.ours
    made_by = {name: getattr(run.record, name) for name in ("run_id", "packages", "git", "data_hash")}
    run.record.deployed += attempt.deploy(asked, answer, made_by)
    refuted.settle(run.settings.namespace)
    run.record.status = Status.DEPLOYED if ours.deploy else Status.KEPT
    also = f"; {shown.second_tier[0]}" if len(run.record.deployed) > ours.deploy else ""
    run.record.headline = verdict_text.headline(ours) + also
    ledger.attempt(
        run.settings.namespace,
        run_id=run.run_id,
        finished_utc=dt.datetime.now(dt.UTC),
        fingerprint=files.digest(now.plain()),
        state=now.plain(),
        decision=run.record.status.value,
        model_id=asked.made.artefact.model_id if ours.deploy else None,
        events=len(asked.events),
        verdict=shown.plain(),
    )
    log.info("%s: %s", run.record.status, verdict_text.headline(ours))


def describe_market(run: Run, data: MarketData) -> None:
    """Put what was read, and what was refused of it, into the run's record."""
    run.record.data_hash = data.data_hash
    run.record.findings = Findings.model_validate(check.table(data))
    counts = (
        data.findings.filter(pl.col("action") == "quarantined").group_by("symbol", "rule").len().sort("symbol", "rule")
    )
    if len(counts):
        cases = ", ".join(f"{symbol}: {n} {rule}" for symbol, rule, n in counts.head(5).rows())
        run.record.warnings.append(
            f"{counted(count(counts['len'].sum()), 'row')} quarantined ({cases}{', …' if len(counts) > 5 else ''})"
        )
    run.record.warnings.extend(_jumps(data.findings))


def _jumps(findings: pl.DataFrame) -> list[str]:
    """A warning of prices that jump by what no adjustment explains; none where none does."""
    jumps = findings.filter(pl.col("rule").is_in(["jump", "split_like"])).sort("symbol", "session")
    if jumps.is_empty():
        return []
    split = int((jumps["rule"] == "split_like").sum())
    cases = ", ".join(f"{symbol} {day}" for symbol, day in jumps.select("symbol", "session").head(5).rows())
    return [
        f"{counted(len(jumps), 'price jump')}, {split or 'none'} of them like a split that was not adjusted "
        f"({cases}{', …' if len(jumps) > 5 else ''})"
    ]


def describe_events(run: Run, collection: store.Collection) -> None:
    """Title, source and refused dates of the run's record."""
    events = collection.events
    symbols, first, last = events["symbol"].n_unique(), events["session"].min(), events["session"].max()
    run.record.source = weakest_source(events)
    run.record.title = (
        f"{run.record.namespace} · {len(events):,} events · {symbols} symbols · {first:%Y-%m} to {last:%Y-%m}"
    )
    if len(collection.refused):
        reasons = collection.refused.group_by("reason").len().sort("len", descending=True)
        text = "; ".join(f"{n:,} {reason}" for reason, n in reasons.rows())
        run.record.warnings.append(f"{counted(len(collection.refused), 'date')} gave no event: {text}")
    _changes(run)


def _changes(run: Run) -> None:
    """What differs from the last attempt's run."""
    record = run.record
    earlier = runs.every(record.namespace, job=Job.RETRAIN)
    if not earlier:
        record.changes.append("first run of this namespace")
        return
    before = earlier[0].record
    for name in ("title", "data_hash", "git", "packages", "seed"):
        if getattr(before, name) != getattr(record, name):
            record.changes.append(f"{name.replace('_', ' ')} differs from run {before.run_id}")
    changed = params.differences(before.parameters, record.parameters)
    record.changes.extend(f"parameter {name}: {stated(old)} → {stated(new)}" for name, old, new in changed[:CHANGES])
    if (more := len(changed) - CHANGES) > 0:
        record.changes.append(f"{counted(more, 'more parameter')}: make diff A={before.run_id} B={record.run_id}")
