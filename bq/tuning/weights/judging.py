"""From a walked study to the gate: the policy as an artefact, its out-of-sample column, and the verdict."""

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from bq.core.errors import BadData
from bq.core.namespace import Tier
from bq.learning.sample import Float32
from bq.learning.weighing import weighing_of
from bq.learning.weight_policy import Policy
from bq.market import MarketData
from bq.serving import candidate, gates, learnt, ledger, policy_graph, registry, support
from bq.serving.basis import basis_of, events_digest
from bq.serving.gates import Evidence, Incumbent, Verdict
from bq.serving.ledger import GATE, LOOK, SERIES
from bq.serving.model_records import Bundle, Card, Chosen, Probe
from bq.serving.onnx import Parity
from bq.serving.ready import ready
from bq.serving.registry import Artefact
from bq.strategies import policy
from bq.strategies.events import weakest_source
from bq.strategies.weighing import LEARNT
from bq.tuning.weights.figures import HELD_OUT, WALKED
from bq.tuning.weights.study import Ask, Walked, followed, recipe

MODEL = "dqn"


class Judged(NamedTuple):
    """A policy that could be deployed, and what the gate says of it."""

    artefact: Artefact
    parity: Parity
    verdict: Verdict
    columns: pl.DataFrame  # the events out of sample with their learnt score; `part` says where


def judge(
    walked: Walked, events: pl.DataFrame, ask: Ask, market: MarketData | None, *, run_id: str, asks_gate: bool
) -> Judged:
    """Export the policy of the holdout, enter the look, and ask the gate.

    events : the matured ones that were walked. run_id : of the look, the study's name by hand. asks_gate : whether it
    may be deployed, which makes it an attempt.
    """
    columns = learnt_column(walked, events, ask)
    oos = columns.filter(pl.col("part") == WALKED).drop("part")
    newest = columns.filter(pl.col("part") == HELD_OUT).drop("part").with_columns(expected=LEARNT)
    seen = _seen(walked)
    graph = policy_graph.export(walked.policies[-1])
    parity = policy_graph.parity(walked.policies[-1], graph, seen, seed=ask.settings.tuning.seed)
    namespace = ask.settings.namespace.weights
    pairs = learnt.earned(oos, ask.strategy, ask.settings)
    ledger.record(namespace, [_look(oos, pairs, ask, walked, run_id, GATE if asks_gate else LOOK)])
    earlier = ledger.on(namespace, oos["session"], oos["symbol"].unique(), without=run_id)
    found = Evidence(oos, newest, parity, recipe(ask), earlier)
    standing = _standing(oos, newest, events, ask)
    verdict = gates.decide_weights(found, standing, strategy=ask.strategy, settings=ask.settings, market=market)
    artefact = Artefact.of(graph, _bundle(walked, events, seen, ask), _card(oos, pairs, ask))
    return Judged(artefact, parity, verdict, columns)


def learnt_column(walked: Walked, events: pl.DataFrame, ask: Ask) -> pl.DataFrame:
    """The events of the test blocks and of the holdout with their learnt score, which none of it has trained."""
    frames = []
    for one, test, points in followed(walked):
        days = walked.sessions.session.gather(test)
        own = events.filter(pl.col("session").is_in(days.implode()))
        scored = learnt.with_learnt(own, days, walked.grid.shares[points], ask.strategy, ask.settings)
        frames.append(scored.with_columns(part=pl.lit(HELD_OUT if one.number == 0 else WALKED)))
    return pl.concat(frames)


def _seen(walked: Walked) -> Float32:
    """What the policy of the holdout saw on the sessions of its training, with the weights that it came to."""
    train = walked.parts[-1].train
    shares = walked.grid.shares[walked.paths[-1, -1, train]].astype(np.float32)
    return np.hstack([walked.sessions.state[train], shares])


def _look(oos: pl.DataFrame, pairs: pl.DataFrame, ask: Ask, walked: Walked, run_id: str, kind: str) -> ledger.Look:
    series = pairs.rename({"model": "value"}).select("session", *SERIES)
    shown = {name: float(series[name].mean()) for name in SERIES}  # type: ignore[arg-type]
    parameters: dict[str, Any] = {"recipe": recipe(ask), "model": MODEL, "steps": ask.plan.steps, "seeds": ask.seeds}
    facts: dict[str, Any] = {"recipe": recipe(ask), "events": walked.name, "shown": shown}
    return ledger.Look(kind, run_id, 0, parameters, series, oos["symbol"].unique(), **facts)


def _card(oos: pl.DataFrame, pairs: pl.DataFrame, ask: Ask) -> Card:
    return Card(
        parameters=ask.settings.model_dump(mode="json"),
        oos_values=[(str(day), value) for day, value in pairs.select("session", "model").rows()],
        basis=basis_of(oos, ask.settings),
    )


def _bundle(walked: Walked, events: pl.DataFrame, seen: Float32, ask: Ask) -> Bundle:
    state, settings, train = weighing_of(ask.strategy).state, ask.settings, walked.parts[-1].train
    through = int(walked.sessions.due[train].max())
    trained = events.filter(pl.col("session").is_in(walked.sessions.session.gather(train).implode()))
    return Bundle(
        strategy=ask.strategy.name,
        model=MODEL,
        features=state.name,
        schema_hash=state.schema_hash,
        columns=list(state.columns),
        classes=[],
        edges=[],
        trade_above=0.0,
        threshold=None,
        recipe=recipe(ask),
        source=weakest_source(events),
        events_hash=events_digest(trained),
        trained_events=len(trained),
        trained_through=dt.datetime.fromtimestamp(through / 1e6, dt.UTC),
        support=support.describe(state, seen),
        seed=settings.tuning.seed,
        tier=Tier.WEIGHTS,
        policy=Chosen(k=settings.policy.k, score_from=ask.strategy.task(settings).trade_score),
        probe=_probe(walked.policies[-1], seen),
    )


def _probe(of: Policy, seen: Float32) -> Probe:
    """Sessions of the training evenly apart, every other value missing in the last but one, all in the last."""
    asked = seen[np.linspace(0, len(seen) - 1, candidate.PROBES).astype(int)].copy()
    asked[-2, ::2] = asked[-1] = np.nan
    values = of.values(asked)
    return Probe(
        features=asked.tolist(),
        category=[0] * len(asked),
        size=[0.0] * len(asked),
        expected=values.argmax(axis=1).astype(float).tolist(),
        probabilities=values.astype(np.float32).tolist(),
    )


def _standing(oos: pl.DataFrame, newest: pl.DataFrame, events: pl.DataFrame, ask: Ask) -> Incumbent | None:
    """The deployed policy, as far as it can be read: what must be beaten."""
    strategy, settings = ask.strategy, ask.settings
    namespace = settings.namespace.weights
    try:
        artefact = registry.champion(namespace)
        if artefact is None:
            return None
        session = ready(artefact, strategy, namespace).session
    except BadData:
        return None
    values, basis, ours = candidate.values_of(artefact), artefact.card.basis, basis_of(oos, settings)
    if values is not None:
        alike = basis.sessions if basis is not None and basis.policy == ours.policy else {}
        same = [day for day, digest in ours.sessions.items() if alike.get(day) == digest]
        values = values.filter(pl.col("session").cast(pl.String).is_in(same))
    scored = learnt.scored_by(events, events, learnt.answer_of(session), strategy, settings)
    window = scored.join(newest.select("event_id"), on="event_id", how="semi").with_columns(expected=LEARNT)
    return Incumbent(artefact.bundle.recipe, window, values, Tier.WEIGHTS)


def trades(columns: pl.DataFrame, part: str, ask: Ask) -> int:
    """How many trades each way of choosing made in a part of time: the same number for all."""
    own = columns.filter(pl.col("part") == part)
    known = own.with_columns(pl.lit(ask.strategy.task(ask.settings).trade_score).alias(policy.FROM))
    return int(policy.traded(known, policy.SCORE, ask.settings.policy.k).sum())
