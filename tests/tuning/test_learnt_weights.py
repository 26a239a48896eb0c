"""Learnt weights as a study: walked forward, resumed, held out, exported, judged, and shown as they are."""

import json
import os
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import weight_worlds
from weighed_strategy import NAMES, WEIGHED, weighed_events, weighed_settings
from weight_worlds import LAW, NULL, PLANTED, studied

from bq.core.errors import BadData, BadParameters
from bq.core.namespace import Namespace, Tier
from bq.learning.weighing import Grid
from bq.serving import gates, learnt, ledger, policy_graph, registry
from bq.serving.decide import Loaded
from bq.serving.ready import ready
from bq.serving.session import Session
from bq.simulate.weighed import weighed
from bq.strategies import policy
from bq.strategies.weighing import LEARNT
from bq.tuning.weights import figures, judging, results, study, tune
from bq.tuning.weights.figures import HELD_OUT, WALKED
from bq.tuning.weights.study import Ask
from bq.workbench.reading import learnt as reading

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
SMALL = study.PLAN._replace(steps=300, hidden=(8, 8), warm_up=100, updates=4)
SETTINGS = weighed_settings(folds=2, test_days=365)
SETTINGS = SETTINGS.model_copy(update={"tuning": SETTINGS.tuning.model_copy(update={"trials": 4})})
EVENTS = weighed_events(weighed(230, events=8, strength=0.3, seed=2))
SHORT = {  # of the small forms
    "plan": study.PLAN._replace(steps=2_000),
    "sessions": 520,
    "settings": weighed_settings(folds=2, test_days=730),
}
ASK = Ask(WEIGHED, SETTINGS, SMALL, seeds=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One small study: what was walked, its results and what was judged, in a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        matured = study.whole_sessions(EVENTS)
        walked = study.walk(EVENTS, ASK)
        found, judged = tune.tune(EVENTS, ASK, run_id="a_run", asks_gate=True)
        looks = ledger.listed()
    return walked, found, judged, matured, looks


def test_nothing_is_trained_on_the_last_180_days_nor_on_a_test_block(made):
    walked, *_ = made
    days = walked.sessions.session
    held_out = walked.parts[-1].test
    assert (days[-1] - days[int(held_out[0])]).days <= 180 < (days[-1] - days[int(held_out[0]) - 1]).days
    for one in walked.parts:
        assert walked.sessions.due[one.train].max() < walked.sessions.t0[one.test[0]]
    assert sorted(set(np.concatenate([one.test for one in walked.parts[:-1]])) & set(held_out)) == []


def test_outcomes_of_a_test_block_change_nothing_that_was_learnt_for_it():
    walked = study.walk(EVENTS, ASK)
    first = EVENTS.filter(pl.col("session") == walked.sessions.session[int(walked.parts[0].test[0])])["t0"][0]
    poison = pl.when(pl.col("t1_due") >= first).then(-pl.col("outcome")).otherwise("outcome").alias("outcome")
    other = study.walk(EVENTS.with_columns(poison), ASK)
    for one, same in zip(walked.policies[0].network.weights, other.policies[0].network.weights, strict=True):
        assert np.array_equal(one, same)
    assert not np.array_equal(walked.policies[1].network.weights[0], other.policies[1].network.weights[0])


def test_a_study_that_was_interrupted_goes_on_as_if_it_had_not_been(home, monkeypatch):
    kept = ASK._replace(keep=True)
    whole, calls = study.walk(EVENTS, kept), []
    stored = sorted((home / "data" / "tuning" / whole.name).glob("*.npz"))
    assert [file.stem for file in stored] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    stored[2].unlink()
    stored[4].write_bytes(stored[4].read_bytes()[:100])  # damaged: learnt again
    fit = study.fit
    monkeypatch.setattr(study, "fit", lambda *given, **named: calls.append(1) or fit(*given, **named))
    again = study.walk(EVENTS, kept)
    assert len(calls) == 2
    assert np.array_equal(whole.paths, again.paths)


def test_every_policy_that_was_learnt_and_the_attempt_are_in_the_ledger(made):
    walked, found, *_, looks = made
    own = [row for row in looks if row["kind"] == study.KIND]
    entered = {(row["parameters"]["block"], row["parameters"]["seed"], row["parameters"]["step"]) for row in own}
    assert entered == {(block, seed, 300) for block in (0, 1, 2) for seed in (0, 1)}
    assert found.record.trials == walked.trials == len(own) == 6
    assert {row["tier"] for row in looks} == {Tier.WEIGHTS}
    assert [row["study"] for row in looks if row["kind"] == ledger.GATE] == ["a_run"]


def test_the_column_that_is_judged_is_the_one_that_the_figures_show(made):
    """By the events and the policy alone, and by the table of all points: the same result of every session."""
    _, found, judged, *_ = made
    oos = judged.columns.filter(pl.col("part") == WALKED)
    earned = learnt.earned(oos, WEIGHED, SETTINGS)
    shown = found.curves.filter(pl.col("part") == WALKED).sort("session")
    assert earned["model"].to_numpy() == pytest.approx(shown["learnt"].to_numpy())
    assert earned["baseline"].to_numpy() == pytest.approx(shown["given"].to_numpy())
    assert oos["score"].to_list() == EVENTS.join(oos, on="event_id", how="semi")["score"].to_list()  # it never moves


def test_given_and_learnt_weights_make_the_same_number_of_trades_in_each_session(made):
    *_, judged, _, _ = made
    taken = judged.columns.with_columns(
        learnt.traded(judged.columns, WEIGHED, SETTINGS).alias("by_learnt"),
        policy.traded(judged.columns, "score", SETTINGS.policy.k).alias("by_given"),
    )
    counts = taken.group_by("session").agg(pl.col("by_learnt", "by_given").sum(), differ=(pl.col("by_learnt") != pl.col("by_given")).any())  # fmt: skip # noqa: E501
    assert counts["by_learnt"].to_list() == counts["by_given"].to_list()
    assert counts["differ"].any()


def test_the_graph_answers_as_the_policy_does_on_every_row(made):
    walked, _, judged, *_ = made
    assert judged.parity.holds and judged.parity.rows > 3_000 and judged.parity.flips == 0
    other = walked.policies[0]
    assert not policy_graph.parity(other, judged.artefact.graph, judging._seen(walked), seed=1).holds


def test_a_stored_policy_is_whole_belongs_to_its_tier_and_answers(made, home):
    walked, _, judged, *_ = made
    namespace = SETTINGS.namespace.weights
    artefact = replace(judged.artefact, card=judged.artefact.card.model_copy(update={"run_id": ""}))
    path = registry.store(artefact, home / "models" / str(namespace))
    strategy = replace(WEIGHED, name=SETTINGS.strategy)
    simulated = replace(namespace, simulated=True)  # its outcomes are
    model = ready(registry.load(path), strategy, simulated)
    seen = judging._seen(walked)[:40]
    assert model.session.predict_policy(seen).actions.tolist() == walked.policies[-1].actions(seen).tolist()
    with pytest.raises(BadData, match="must be a champion, but is a learnt weights"):
        ready(registry.load(path), strategy, simulated.champion)


def test_the_namespace_of_learnt_weights_reads_as_it_is_written():
    for namespace in (Namespace("toy").weights, Namespace("toy", "mine", simulated=True).weights):
        assert Namespace.parse(str(namespace)) == namespace
        assert str(namespace).endswith("-weights") and namespace.champion.weights == namespace


def test_a_graph_with_other_outputs_is_no_policy(made):
    *_, judged, _, _ = made
    assert Session(judged.artefact.graph).is_policy
    bundle = judged.artefact.bundle
    assert (bundle.tier, bundle.classes, len(bundle.columns)) == (Tier.WEIGHTS, [], 1 + 4 + 8 + 4)


def test_the_gate_refuses_noise_and_takes_what_an_oracle_knows(made):
    """The same gate on a column that is made by hand: of the law itself, and of nothing."""
    _, _, judged, *_ = made
    world = weighed(700, strength=0.5, seed=4)
    events = weighed_events(world)
    best = weight_worlds.BEST[world.regime] / 100
    rng = np.random.default_rng(0)
    verdicts = {}
    for name, weights in {"law": best, "noise": Grid.of(4).shares[rng.integers(633, size=700)]}.items():
        scored = learnt.with_learnt(events, events["session"].unique().sort(), weights, WEIGHED, SETTINGS)
        oos, newest = scored.head(650 * 20), scored.tail(50 * 20).with_columns(expected=LEARNT)
        evidence = gates.Evidence(oos, newest, judged.parity, "a", oos.select("session").unique().sort("session"))
        verdicts[name] = gates.decide_weights(evidence, None, strategy=WEIGHED, settings=weighed_settings())
    assert verdicts["law"].deploy, [(c.kind, c.value, c.low) for c in verdicts["law"].failed]
    assert not verdicts["noise"].deploy


def test_results_are_read_as_they_were_written(made, tmp_path):
    _, found, *_ = made
    results.save(found, tmp_path)
    again = results.load(tmp_path)
    assert again.record == found.record and again.curves.equals(found.curves)
    assert set(json.loads((tmp_path / results.RECORD).read_text())["points"]) == {"constant", "leader", "ridge", "bandit"}  # fmt: skip # noqa: E501
    with pytest.raises(BadData, match="make tune-weights"):
        results.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.01, 0.2, "Yes"), (-0.2, -0.01, "No, they were worse"), (-0.1, 0.1, "cannot be told"), (None, None, "cannot")],
    ids=["better", "worse", "neither", "no interval"],
)
def test_the_question_about_the_last_180_days_is_answered_by_its_interval(made, low, high, said):
    record = made[1].record.model_copy(deep=True)
    gain = record.gain(HELD_OUT, figures.LEARNT, figures.GIVEN)
    gain.low, gain.high = low, high
    assert said in reading.held_out(record)


def test_sums_are_said_beside_what_they_are_held_against(made):
    record = made[1].record
    told = " ".join([reading.walked(record), reading.beside(record), reading.seeds(record), reading.moved(record)])
    for part in ("the given ones", "Hedge over the grid", "ridge regression", "2 seeds × 2 test blocks"):
        assert part in told


def test_too_little_history_and_a_score_without_components_are_refused():
    with pytest.raises(BadData, match="a session is one event"):
        study.walk(EVENTS.head(8 * 60), ASK)
    with pytest.raises(BadParameters, match="keeps the components"):
        study.walk(EVENTS, ASK._replace(strategy=replace(WEIGHED, weighing=None)))


def test_no_policy_leaves_the_score_as_it_is():
    assert learnt.actions_of(Loaded(None)) is None
    scored = learnt.attached(EVENTS, None, WEIGHED, SETTINGS, Loaded(None))
    assert scored[LEARNT].null_count() == len(EVENTS)
    assert NAMES[0] in scored.columns


@pytest.mark.calibration
def test_where_the_best_weights_change_with_a_regime_that_can_be_seen_agents_beat_every_constant():
    """Estimand: mean gain a session out of sample. Truth: who knows the regime and moves as agents do gains 0.25 or so.

    Full form: beyond the paired bound over the given and over the best constant weights in at least 8 of 10 worlds.
    """
    if not FULL:  # one of the ten, with one seed where the product takes five
        world = studied(PLANTED, LAW, seeds=1)
        assert world.beats("given") and world.beats("constant") and world.deploys
        assert 0.5 * world.oracle < world.gain("given").value < world.oracle < world.free
        return
    worlds = [studied(PLANTED + i, LAW) for i in range(10)]
    assert np.mean([world.oracle for world in worlds]) == pytest.approx(0.25, abs=0.06)
    assert sum(world.beats("given") and world.beats("constant") for world in worlds) >= 8
    assert np.mean([world.gain("given").value / world.oracle for world in worlds]) > 0.5


@pytest.mark.calibration
def test_where_no_weights_are_better_the_interval_covers_nothing_gained_and_nothing_deploys():
    """Estimand: the same, where nothing pays: 0. Full form: covered in at least 18 of 20 worlds, none deploys."""
    nothing = LAW | {"strength": 0.0}
    if not FULL:
        world = studied(NULL - 1, nothing, seeds=1, **SHORT)
        assert world.covers_zero() and not world.deploys
        return
    worlds = [studied(NULL + i, nothing, seeds=1) for i in range(20)]
    assert sum(world.covers_zero() for world in worlds) >= 18
    assert not any(world.deploys for world in worlds)
