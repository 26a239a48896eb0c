"""The main job: events → walk-forward training → gate → deploy or keep → report."""

import datetime as dt
from dataclasses import replace
from typing import Any

import polars as pl

from bq import runs
from bq.audit import sound_features
from bq.core import files, params, paths
from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.core.scalars import count
from bq.jobs import health, mature, presentation, trades, trigger
from bq.jobs.request import Request
from bq.jobs.run import protocol, publish
from bq.jobs.run.protocol import Run
from bq.learning import layer_diagnostics, layers, walkforward
from bq.market import MarketData, check
from bq.runs import folder as names
from bq.runs.record import Download, Findings, Job, Status
from bq.runs.verdict import Verdict as Presented
from bq.serving import candidate, comparable, contributors, decide, gates, ledger, looks, ready, registry, verdict_text
from bq.serving.candidate import Candidate
from bq.serving.gates import Evidence, Incumbent, Verdict
from bq.serving.registry import Artefact
from bq.strategies import registered, store
from bq.strategies.component import Component, Kind
from bq.strategies.events import weakest_source
from bq.workbench import screen, tearsheet
from bq.workbench.phrases import counted

NOTEBOOKS = ("01_feature_exploration", "02_walk_forward_training")
STACKING = "03_stacking"  # of a stack alone


def main(request: Request) -> None:
    """Train, judge and report; or say that nothing is new since the last attempt."""
    strategy, settings = request.strategy, request.settings
    layers.check(settings.learning, layers.kind_of(len(strategy.task(settings).classes)))
    with protocol.lock(settings.namespace):
        run = Run(settings, job=Job.QUICK if request.quick else Job.RETRAIN)
        folder = protocol.perform(run, lambda under_way: _attempt(under_way, request))
    if run.repeats:
        last = run.repeats["run_id"]
        rolled_back = registry.undone().get(last)
        screen.show(screen.nothing_new(run.repeats, names.report(last), rolled_back=rolled_back))
    else:
        screen.show(screen.verdict(run.record, run.verdict, folder / names.REPORT))


def _attempt(run: Run, request: Request) -> None:
    """Read the market, then do the work, unless it would only repeat the last attempt."""
    settings = request.settings
    with run.phase("market data"):
        data = store.market_data(settings)
    with run.phase("outcomes"):
        run.record.warnings.extend(mature.kept_up(settings, data))
    own = registered.digests(request.strategy.features(settings).columns)
    fingerprint = files.digest([data.data_hash, settings.model_dump(mode="json"), code_digest(), own])
    last = ledger.last_attempt(settings.namespace)
    same = last and last["fingerprint"] == fingerprint and publish.was_published(last["run_id"])
    if same and not request.force:
        run.repeats = last
        return
    _work(run, request, data, fingerprint)


def code_digest() -> str:
    """Digest of all code and notebooks: what a new attempt would run."""
    sources = [*sorted((paths.CHECKOUT / "bq").rglob("*.py")), *sorted(paths.notebooks().glob("*.ipynb"))]
    return files.digest_of_files(sources, paths.CHECKOUT)


def _work(run: Run, request: Request, data: MarketData, fingerprint: str) -> None:
    strategy, settings = request.strategy, request.settings
    describe_market(run, data)
    with run.phase("events"):
        collection = store.collect(strategy, settings, data)
    describe_events(run, collection)
    for notice in strategy.views.notices(collection.events, settings):
        log.warning("%s", notice)
        run.record.warnings.append(notice)
    run.record.known = trigger.known(collection.events)
    run.record.triggers = trigger.held(request, run.record, collection.events)
    walkforward.check(collection.events, strategy, settings)
    with store.handed_over(collection, run.folder):
        for name in [*NOTEBOOKS, *([STACKING] if settings.learning.model == layers.STACK else [])]:
            run.notebook(name)
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
        _enter(run, made, request)
        ours, second = _judge(run, made, collection.events, data, request)
        asked = gates.at_level(settings, ours.level)
        without = contributors.of(_with_kind(made.own_oos, collection.events, request), strategy, asked, data)
        shown = run.verdict = presentation.present(ours, second, made, request, without=without)
        trades.save(made, collection.events, run.folder, strategy=strategy, settings=settings)
        label = "Trades of the candidate and of the rule score (CSV)"
        run.record.downloads.append(Download(label=label, file=names.TRADES))
        earned = tearsheet.results(made.own_oos, strategy, settings, events=collection.events)
        title = f"Tear sheet · {run.record.title}"
        tearsheet.write(run.folder / names.TEARSHEET, earned, shown, title=title, source=run.record.source)
        run.record.downloads.append(Download(label="Tear sheet: by month, drawdowns, by symbol", file=names.TEARSHEET))
    if request.quick:
        run.record.headline = shown.headline
        return
    with run.phase("deployment", stoppable=False):
        if made.success and second and second.deploy:
            _deploy(run, made.success, settings.namespace.second, second)
        _execute(run, ours, shown, made, fingerprint, len(collection.events))


def _with_kind(oos: pl.DataFrame, events: pl.DataFrame, request: Request) -> pl.DataFrame:
    kinds = events.select("event_id", kind=request.strategy.table.kind)
    return oos.drop("kind", strict=False).join(kinds, on="event_id", how="left", maintain_order="left")


def _judge(
    run: Run, made: Candidate, events: pl.DataFrame, data: MarketData, request: Request
) -> tuple[Verdict, Verdict | None]:
    """What the gate says of the candidate, and of the success-probability model beside it, where there is one."""
    strategy, settings = request.strategy, request.settings
    standing, earlier = (
        _standing(made.own_oos, made.newest, events, request, run),
        _earlier(settings.namespace, made.own_oos, run),
    )
    recipe = comparable.way(settings, made.artefact.bundle.registered)
    found = Evidence(made.own_oos, made.newest, made.parity, recipe, earlier)
    of: dict[str, Any] = {"strategy": strategy, "settings": settings, "market": data}
    sound = sound_features.components(made.artefact.bundle, events, data, strategy, settings)
    oos, newest, parity = made.success_oos, made.success_newest, made.success_parity
    if made.success is None or oos is None or newest is None or parity is None:
        ours, _ = gates.judge(found, standing, **of)
        return _again(ours, recipe, standing, force=request.force).also(sound), None
    second = _standing(oos, newest, events, request, run, second=True)
    beside = Evidence(oos, newest, parity, recipe, _earlier(settings.namespace.second, oos, run))
    ours, theirs = gates.judge(found, standing, beside, second, **of)
    ours = _again(ours, recipe, standing, force=request.force).also(sound)
    return ours, theirs and _again(theirs, recipe, second, force=request.force).also(sound)


def _standing(
    oos: pl.DataFrame, newest: pl.DataFrame, events: pl.DataFrame, request: Request, run: Run, *, second: bool = False
) -> Incumbent | None:
    """The champion, or the second tier's, as the gate asks it; None where there is none, or it is damaged.

    A disk that fails to read it is no statement about it: that OSError ends the run, and the champion stays.
    """
    namespace, strategy = request.settings.namespace, request.strategy
    namespace = namespace.second if second else namespace
    tier, name = namespace.tier, verdict_text.AGAINST[namespace.tier]
    try:
        artefact, undone = _to_beat(namespace, run)
        if artefact is None:
            return None
        ready.belongs(artefact, strategy, namespace)
    except BadData as error:
        run.record.warnings.append(f"the {name} cannot be read and is judged as absent: {error}")
        return None
    own = registered.digests(strategy.features(request.settings).columns)
    recipe, values = comparable.incumbent_way(artefact, strategy, request.settings, own), None
    if recipe != comparable.way(request.settings, own):
        asked: dict[str, Any] = {"strategy": strategy, "settings": request.settings}
        values, told = comparable.incumbent_values(
            artefact, oos, events, task=strategy.success if second else None, **asked
        )
        run.record.warnings += [f"the {name}'s recipe: {told}"] if told else []
    known = Incumbent(recipe, None, values, tier, undone)
    try:
        window = events.join(newest.select("event_id"), on="event_id", how="semi")
        model = ready.ready(artefact, strategy, namespace)
        return known._replace(newest=decide.predict(model, window, strategy))
    except BadData as error:  # of another schema, say: its recipe can still be compared
        run.record.warnings.append(f"the {name} cannot answer on the newest window: {error}")
        return known


def _to_beat(namespace: Namespace, run: Run) -> tuple[Artefact | None, dt.datetime | None]:
    """The model that a candidate must beat, and when it was rolled back: the newest deployment, else what decides."""
    undone = registry.rolled_back(namespace)
    if undone is None:
        return registry.champion(namespace), None
    told = f"{undone.model_id}, deployed then rolled back {undone.at_utc:%Y-%m-%d %H:%M} UTC"
    try:
        artefact = registry.load(registry.folder(namespace, undone.model_id))
    except BadData as error:
        run.record.warnings.append(f"{told}, would have to be beaten, but cannot be read: {error}")
        return registry.champion(namespace), None
    run.record.warnings.append(f"{told}, must still be beaten")
    return artefact, undone.at_utc


def _again(found: Verdict, recipe: str, standing: Incumbent | None, *, force: bool) -> Verdict:
    """The verdict with what is asked of the way of training that was rolled back: to be wanted again, by FORCE=1."""
    if standing is None or standing.rolled_back is None or standing.recipe != recipe:
        return found
    more = {"rolled_back": standing.rolled_back.isoformat()}
    asked = Component.asked(Kind.ROLLED_BACK, force, against=standing.tier, more=more)
    return found._replace(deploy=found.deploy and force, components=[*found.components, asked])


def _enter(run: Run, made: Candidate, request: Request) -> None:
    """Enter this attempt and the models beside it into the ledger before it is judged, whatever becomes of the run."""
    strategy, settings = request.strategy, request.settings
    asked: dict[str, Any] = {"run_id": run.run_id, "quick": request.quick}
    looks.enter_attempt(made.oos, strategy, settings, **asked)
    if made.success_oos is not None:
        looks.enter_attempt(made.success_oos, strategy, settings, task=strategy.success, **asked)


def _earlier(namespace: Namespace, oos: pl.DataFrame, run: Run) -> pl.DataFrame:
    """What earlier looks at the time and symbols of predictions earned."""
    return ledger.on(namespace, oos["session"], oos["symbol"].unique(), without=run.run_id)


def _deploy(run: Run, artefact: Artefact, namespace: Namespace, why: Verdict) -> None:
    """Deploy an artefact with the card of this run."""
    made_by = {name: getattr(run.record, name) for name in ("run_id", "packages", "git", "data_hash")}
    said = {
        "verdict": verdict_text.headline(why),
        "components": [verdict_text.part(component) for component in why.components],
    }
    whole = replace(artefact, card=artefact.card.model_copy(update={**made_by, **said}))
    run.record.deployed.append(registry.deploy(namespace, whole, reason=verdict_text.headline(why), run_id=run.run_id))


def _execute(run: Run, ours: Verdict, shown: Presented, made: Candidate, fingerprint: str, events: int) -> None:
    """Deploy if the gate says so, then record the attempt."""
    model_id = made.artefact.model_id
    if ours.deploy:
        _deploy(run, made.artefact, run.settings.namespace, ours)
    run.record.status = Status.DEPLOYED if ours.deploy else Status.KEPT
    also = f"; {shown.second_tier[0]}" if len(run.record.deployed) > ours.deploy else ""
    run.record.headline = verdict_text.headline(ours) + also
    ledger.attempt(
        run.settings.namespace,
        run_id=run.run_id,
        finished_utc=dt.datetime.now(dt.UTC),
        fingerprint=fingerprint,
        decision=run.record.status.value,
        model_id=model_id if ours.deploy else None,
        events=events,
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
        f"{counted(len(jumps), 'price jump')}, {split} like a split that is not adjusted "
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
    record.changes.extend(f"parameter {name}: {old} → {new}" for name, old, new in changed[:20])
