"""The main job: events → walk-forward training → gate → deploy or keep → report."""

import datetime as dt
from typing import Any

import polars as pl
import sqlalchemy as sa

from bq import market
from bq.core import db, files, params, paths
from bq.core.errors import BadData
from bq.core.log import log
from bq.jobs import health, protocol, record, trades, trigger
from bq.jobs.protocol import Run
from bq.jobs.request import Request
from bq.learning import layers, walkforward
from bq.market import MarketData, check
from bq.serving import candidate, decide, gates, ledger, registry
from bq.serving.candidate import Candidate
from bq.serving.gates import Standing, Verdict
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.strategies.contract import weakest_source
from bq.workbench import screen

NOTEBOOKS = ("01_feature_exploration", "02_walk_forward_training")
STACKING = "03_stacking"  # of a stack alone
IMPROVEMENT = ("uplift", "above 0", "newest window")  # in the names of the gate's bounds on what a model earns


def main(request: Request) -> None:
    """Train, judge and report; or say that nothing is new since the last attempt."""
    strategy, settings = request.strategy, request.settings
    layers.check(settings.learning, layers.kind_of(len(strategy.task(settings).classes)))
    with protocol.lock(settings.shelf):
        with protocol.recorded(settings, job="retrain"):
            data = market.load(settings.market)
        fingerprint = files.digest([data.data_hash, settings.model_dump(mode="json"), code_digest()])
        last = last_attempt(settings.shelf)
        same = last and last["fingerprint"] == fingerprint and record.was_published(last["run_id"])
        if same and not request.force:
            screen.show(screen.nothing_new(last, paths.outputs() / last["run_id"] / "report.html"))
            return
        run = Run(settings, job="retrain")
        folder = protocol.perform(run, lambda under_way: _work(under_way, request, data, fingerprint))
    screen.show(screen.verdict(run.info, run.verdict, folder / "report.html"))


def code_digest() -> str:
    """Digest of all code and notebooks: what a new attempt would run."""
    sources = [*sorted((paths.CHECKOUT / "bq").rglob("*.py")), *sorted(paths.notebooks().glob("*.ipynb"))]
    return files.digest([[str(path.relative_to(paths.CHECKOUT)), files.sha256(path)] for path in sources])


def last_attempt(shelf: str) -> dict[str, Any] | None:
    """The newest row of the attempts table."""
    table = db.attempts
    query = sa.select(table).where(table.c.strategy == shelf).order_by(table.c.finished_utc.desc()).limit(1)
    with db.engine().connect() as connection:
        row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def _work(run: Run, request: Request, data: MarketData, fingerprint: str) -> None:
    strategy, settings = request.strategy, request.settings
    describe_market(run, data)
    with run.phase("events"):
        collection = store.collect(strategy, settings, data)
    describe_events(run, collection)
    run.info["known"] = trigger.known(collection.events)
    run.info["trigger"] = trigger.held(request, run.info, collection.events)
    walkforward.check(collection.events, strategy, settings)
    with store.handed_over(collection, run.folder):
        for name in [*NOTEBOOKS, *([STACKING] if settings.learning.model == layers.STACK else [])]:
            run.notebook(name)
    with run.phase("gate"):
        made = candidate.load(run.folder)
        if made.artefact.bundle["events_hash"] != collection.data_hash:
            raise BadData(
                "the notebook must train on the events of this run, but trained on others; was data/ changed meanwhile?"
            )
        run.info["health"] = health.counters(made, collection, data, strategy.features(settings), settings)
        ours = gates.decide(
            made.own_oos,
            made.newest,
            _standing(made.newest, collection.events, request, run),
            made.parity,
            recipe=made.artefact.bundle["recipe"],
            trials=ledger.on(settings.shelf, made.own_oos["session"]),
            strategy=strategy,
            settings=settings,
        )
        second = made.success and gates.decide_success(made.success_oos, made.success_parity, settings=settings)
        run.verdict = present(ours, second, made, request)
        trades.save(made, collection.events, run.folder, strategy=strategy, settings=settings)
        run.info["downloads"].append(
            {"label": "Trades of the candidate and of the rule score (CSV)", "file": "trades.csv"}
        )
    with run.phase("deployment", stoppable=False):
        _remember(run, made, request)
        if second and second.deploy:
            _deploy(run, made.success, decide.success_shelf(settings), second)
        _execute(run, ours, made, fingerprint, len(collection.events))


def _standing(newest: pl.DataFrame, events: pl.DataFrame, request: Request, run: Run) -> Standing | None:
    """The champion as the gate asks it; None where there is none, or nothing of it can be read."""
    shelf, strategy = request.settings.shelf, request.strategy
    try:
        artefact = registry.champion(shelf)
    except (BadData, OSError) as error:
        run.info["warnings"].append(f"the champion cannot be read and is judged as absent: {error}")
        return None
    if artefact is None:
        return None
    recipe, values = artefact.bundle["recipe"], candidate.values_of(artefact)
    try:
        window = events.join(newest.select("event_id"), on="event_id", how="semi")
        return Standing(recipe, decide.predict(decide.ready(artefact, strategy), window, strategy), values)
    except BadData as error:  # of another schema: its recipe can still be compared
        run.info["warnings"].append(f"the champion cannot answer on the newest window: {error}")
        return Standing(recipe, None, values)


def _remember(run: Run, made: Candidate, request: Request) -> None:
    """Enter this attempt into the trial ledger, whatever was decided."""
    series = candidate.values_of(made.artefact)
    parameters = {"recipe": made.artefact.bundle["recipe"], "model": made.artefact.bundle["model"]}
    ledger.record(request.settings.shelf, [ledger.Trial(ledger.GATE, run.run_id, 0, parameters, series)])


def _deploy(run: Run, artefact: Artefact, shelf: str, why: Verdict) -> None:
    """Deploy an artefact with the card of this run."""
    made_by = {name: run.info[name] for name in ("run_id", "packages", "git", "data_hash")}
    card = {**artefact.card, **made_by, "verdict": why.headline, "components": [c._asdict() for c in why.components]}
    whole = Artefact(artefact.graph, artefact.bundle, card)
    registry.deploy(shelf, whole, reason=f"{why.headline} ({run.run_id})")


def _execute(run: Run, ours: Verdict, made: Candidate, fingerprint: str, events: int) -> None:
    """Deploy if the gate says so, then record the attempt."""
    strategy = run.info["strategy"]
    model_id = made.artefact.model_id
    if ours.deploy:
        _deploy(run, made.artefact, strategy, ours)
    run.info["status"] = "deployed" if ours.deploy else "kept"
    run.info["headline"] = ours.headline
    row = {
        "run_id": run.run_id,
        "strategy": strategy,
        "finished_utc": dt.datetime.now(dt.UTC),
        "fingerprint": fingerprint,
        "decision": run.info["status"],
        "model_id": model_id if ours.deploy else None,
        "events": events,
        "verdict": run.verdict,
    }
    with db.engine().begin() as connection:
        connection.execute(db.attempts.insert().values(row))
    log.info("%s: %s", run.info["status"], ours.headline)


def present(ours: Verdict, second: Verdict | None, made: Candidate, request: Request) -> dict[str, Any]:
    """The verdict as the report and the terminal show it."""
    standing = registry.pointer_or_none(request.settings.shelf)
    if ours.deploy:
        headline = f"Deployed {made.artefact.model_id}: {ours.headline}"
    elif standing:
        headline = _kept(standing["model_id"], ours)
    else:
        headline = f"Nothing deployed, the rule score goes on deciding ({ours.headline})"
    return {
        "decision": "deployed" if ours.deploy else "kept",
        "headline": headline,
        "components": [component._asdict() for component in ours.components],
        "second_tier": _second_tier(second),
        "table": _table(made, request),
    }


def _kept(model_id: str, ours: Verdict) -> str:
    """Why the champion stays; what would be needed where a bound on what the candidate earns is not met."""
    below = [c for c in ours.components if not c.holds and any(name in c.name for name in IMPROVEMENT)]
    if not below:
        return f"Kept the champion {model_id} ({ours.headline})"
    needed = f"; needed: {below[0].needed}" if below[0].needed else ""
    return f"Kept current model: improvement below threshold (champion {model_id}; {ours.headline}{needed})"


def _second_tier(second: Verdict | None) -> list[str]:
    if second is None:
        return []
    decided = f"success-probability model {'deployed' if second.deploy else 'not deployed'}: {second.headline}"
    return [decided, *(f"{component.name}: {component.statement}" for component in second.components)]


def _table(made: Candidate, request: Request) -> dict[str, Any]:
    """The out-of-sample figures of each model beside their baseline, as text: one row a figure."""
    gate, own = request.settings.gate, made.artefact.bundle["model"]
    models = made.metrics["model"].unique(maintain_order=True).to_list()
    cells = {(row["model"], row["metric"], row["baseline_is"]): row for row in made.metrics.iter_rows(named=True)}
    rows = []
    for _, metric, against in [key for key in cells if key[0] == own]:
        mine = cells[own, metric, against]
        baseline = "" if mine["baseline"] is None else f"{mine['baseline']:+.3f}  {against}"
        figures = [_with_interval(cells[model, metric, against]) for model in models]
        rows.append([f"{metric} ({mine['convention']})", figures[0], baseline, *figures[1:]])
    own_oos = made.own_oos
    note = (
        f"Out of sample: {len(own_oos):,} events, {own_oos['session'].n_unique():,} sessions, each weighing the same; "
        f"{1 - 2 * gate.alpha:.0%} intervals by stationary bootstrap over sessions, {gate.draws:,} draws, mean "
        "block 1.5 holding times."
    )
    return {"columns": ["figure", f"{own} (candidate)", "baseline", *models[1:]], "rows": rows, "note": note}


def _with_interval(row: dict[str, Any]) -> str:
    value, low, high = (row[name] for name in ("value", "low", "high"))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" if low <= high else f"{value:+.3f} [no interval]"


def describe_market(run: Run, data: MarketData) -> None:
    """Put what was read, and what was refused of it, into the run's record."""
    run.info["data_hash"] = data.data_hash
    run.info["findings"] = check.table(data)
    counts = (
        data.findings.filter(pl.col("action") == "quarantined").group_by("symbol", "rule").len().sort("symbol", "rule")
    )
    if len(counts):
        cases = ", ".join(f"{symbol}: {n} {rule}" for symbol, rule, n in counts.head(5).rows())
        run.info["warnings"].append(
            f"{screen.count(counts['len'].sum(), 'row')} quarantined ({cases}{', …' if len(counts) > 5 else ''})"
        )


def describe_events(run: Run, collection: store.Collection) -> None:
    """Title, source and refused dates of the run's record."""
    events = collection.events
    symbols, first, last = events["symbol"].n_unique(), events["session"].min(), events["session"].max()
    run.info["source"] = weakest_source(events)
    run.info["title"] = (
        f"{run.info['strategy']} · {len(events):,} events · {symbols} symbols · {first:%Y-%m} to {last:%Y-%m}"
    )
    if len(collection.refused):
        reasons = collection.refused.group_by("reason").len().sort("len", descending=True)
        text = "; ".join(f"{n:,} {reason}" for reason, n in reasons.rows())
        run.info["warnings"].append(f"{screen.count(len(collection.refused), 'date')} gave no event: {text}")
    _changes(run)


def _changes(run: Run) -> None:
    """What differs from the last attempt's run."""
    from bq.workbench import runs

    earlier = runs.every(run.info["strategy"], job="retrain")
    if not earlier:
        run.info["changes"].append("first run of this strategy")
        return
    before = earlier[0].info
    for name in ("title", "data_hash", "git", "packages", "seed"):
        if before.get(name) != run.info[name]:
            run.info["changes"].append(f"{name.replace('_', ' ')} differs from run {before['run_id']}")
    changed = params.differences(before.get("parameters", {}), run.info["parameters"])
    run.info["changes"].extend(f"parameter {name}: {old} → {new}" for name, old, new in changed[:20])
