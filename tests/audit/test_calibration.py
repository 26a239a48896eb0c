"""The pipeline on markets whose law is known: what is measured is the product's own, counted rightly, kept safely."""

import datetime as dt
import os
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from scipy.stats import beta, binom

from bq import market, strategies
from bq.audit import calibration, calibration_points, calibration_tables, calibration_truth
from bq.audit.calibration import Judged, Known, Market, Measured, Trained, Watched, measure, with_seed
from bq.audit.calibration_oracle import TRUTH, Learnt, truth_of
from bq.audit.calibration_points import Point, Results, point
from bq.core import paths
from bq.core.errors import BadData, BadParameters
from bq.learning import walkforward
from bq.market.sources.simulated import market_of
from bq.serving import bounds, candidate, earned, gates, ledger
from bq.serving.gates import Evidence
from bq.stats import paired
from bq.stats.blocks import Blocks
from bq.strategies import policy, store
from bq.strategies.component import Component, Kind

BREAKOUT = strategies.get("breakout")
SMALL = (
    "market.simulation.symbols=12 market.simulation.sessions=1500 learning.folds=2 gate.draws=1000 "
    "learning.hyperparameters.lightgbm.n_estimators=20"
)


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))


def planted(strength=0.3) -> Point:
    return point(BREAKOUT, "planted", strength=strength, overrides=SMALL, quick=False)


@pytest.fixture(scope="module")
def measured():
    return measure(5, strategy=BREAKOUT, settings=planted().settings)


def judged(**holds: bool | None) -> Judged:
    parts = tuple(Component(kind=Kind[name], holds=state) for name, state in holds.items())
    return Judged(deploy=all(holds.values()), components=parts)


def of(seed: int, champion: Judged | None = None, **more) -> Measured:
    deploys = any(tier is not None and tier.deploy for tier in (champion, more.get("second")))
    return Measured(seed=seed, seconds=float(seed), champion=champion, deploying=int(deploys), **more)


def test_the_verdict_is_that_of_the_products_own_steps_in_turn(measured, tmp_path):
    """Through the event store and with the models for comparison, as a retrain does it."""
    settings = with_seed(planted().settings, 5)
    data = market.load(settings.market)
    events = store.collect(BREAKOUT, settings, data).events
    made = candidate.save(
        walkforward.train(events, BREAKOUT, settings), None, events, tmp_path, strategy=BREAKOUT, settings=settings
    )
    trials = ledger.on(settings.namespace, made.own_oos["session"], made.own_oos["symbol"].unique())
    found = Evidence(made.own_oos, made.newest, made.parity, made.artefact.bundle.recipe, trials)
    verdict, _ = gates.judge(found, None, strategy=BREAKOUT, settings=settings, market=data)
    assert measured.champion == Judged.of(verdict)
    assert measured.events == len(events) and measured.second is None and not measured.error
    assert measured.overfitting is None  # of one way of training


def test_a_market_leaves_nothing_in_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_DATABASE_URL", f"sqlite:///{tmp_path}/own.db")
    before = dict(os.environ)
    assert measure(6, strategy=BREAKOUT, settings=planted().settings).champion is not None
    assert not (tmp_path / "home").exists() and not (tmp_path / "own.db").exists()
    assert dict(os.environ) == before


def test_a_market_without_a_verdict_deploys_nothing_and_says_why(monkeypatch):
    def fails(*_, **__):
        raise BadData("no fold holds.")

    monkeypatch.setattr(walkforward, "train", fails)
    found = measure(6, strategy=BREAKOUT, settings=planted().settings)
    assert found.error == "BadData: no fold holds." and not found.deployed
    assert calibration_tables.deployed([found])["either"][:2] == (0, 1)


def test_a_seed_makes_one_verdict_and_another_seed_another_market(measured):
    again, other = (measure(seed, strategy=BREAKOUT, settings=planted().settings) for seed in (5, 6))
    assert again.champion == measured.champion and again.events == measured.events
    assert other.champion != measured.champion


@pytest.mark.parametrize(("count", "markets"), [(0, 60), (4, 200), (3, 3), (7, 12)], ids=str)
def test_shares_have_the_interval_of_clopper_and_pearson(count, markets):
    """By quantiles of the beta distribution, as the paper's interval is usually written."""
    found = calibration_tables.share(count, markets)
    low = beta.ppf(0.025, count, markets - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, markets - count) if count < markets else 1.0
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)


def test_either_tier_counts_as_deployed_once():
    yes, no = judged(NET=True), judged(NET=False)
    markets = [of(1, yes, second=yes), of(2, no, second=yes), of(3, no, second=no), of(4, yes, second=no), of(5)]
    found = calibration_tables.deployed(markets)
    assert {name: one[:2] for name, one in found.items()} == {"champion": (2, 5), "second": (2, 5), "either": (3, 5)}


def test_components_say_what_refused_alone_and_what_would_deploy_without_them():
    verdicts = [
        judged(UPLIFT=True, NET=True, CALIBRATION=True),
        judged(UPLIFT=True, NET=True, CALIBRATION=False),
        judged(UPLIFT=True, NET=True, CALIBRATION=False),
        judged(UPLIFT=False, NET=True, CALIBRATION=False),
        judged(UPLIFT=None, NET=True, CALIBRATION=True),
    ]
    found = calibration_tables.components(verdicts)
    assert found.rows() == [
        ("uplift", 5, 2, 1, 1, 2),
        ("net", 5, 0, 0, 0, 1),
        ("calibration", 5, 3, 0, 2, 3),
    ]


def test_coverage_counts_the_intervals_on_either_side_of_each_markets_own_truth():
    """Counted by hand; the band is that of three intervals of 95%."""
    rows = [(-1.0, 1.0, 0.5), (0.1, 1.0, 0.0), (-2.0, -0.5, -0.4), (None, None, 0.0)]
    markets = [
        of(
            seed,
            Judged(deploy=False, components=(Component(kind=Kind.NET, holds=False, low=low, high=high, value=0.0),)),
        )
        for seed, (low, high, _) in enumerate(rows)
    ]
    markets = [
        market.model_copy(update={"truth": Known(expected={Kind.NET: truth, Kind.ALPHA: 0.0}, apart=apart)})
        for market, (*_, truth), apart in zip(markets, rows, (None, 700, None, 90), strict=True)
    ]
    assert calibration_tables.apart([*markets, of(9)])[:2] == (2, 4)
    (found,) = calibration_tables.coverage([*markets, of(9, judged(NET=False))])
    assert found.kind == Kind.NET and found.holds[:2] == (1, 3) and (found.above, found.below) == (1, 1)
    assert found.truth == pytest.approx(0.1 / 3) and found.figure == 0.0
    assert (found.least, found.most) == tuple(binom.interval(0.99, 3, 0.95))


@pytest.mark.parametrize(
    ("strategy", "family", "overrides", "known"),
    [
        ("breakout", "martingale", "", True),
        ("breakout", "clustered", "", True),
        ("breakout", "clustered", "market.simulation.drift=0.08", False),
        ("breakout", "planted", "", False),
        ("breakout", "planted", "market.simulation.edge=0", True),
        ("butterfly", "martingale", "", True),
        ("butterfly", "clustered", "", False),  # options are priced by one volatility
        ("butterfly", "planted", "market.simulation.pinned_share=0", False),
        ("forecast", "martingale", "", True),
    ],
    ids=str,
)
def test_the_truth_is_known_where_prices_are_martingales_and_options_are_priced_by_their_law(
    strategy, family, overrides, known
):
    one = point(strategies.get(strategy), family, overrides=overrides, quick=False)
    assert calibration_truth.known(one.strategy, one.settings) is known


def test_the_truth_is_what_the_trades_of_the_markets_own_model_cost():
    """Without costs it is exactly 0; with a fee alone it is what is reckoned by hand from each trade's notional."""

    def found(costs):
        one = point(BREAKOUT, "planted", strength=0.5, overrides=f"{SMALL} {costs}", quick=False)
        data = calibration.simulated(one.settings, 5)
        place = Market(5, data, calibration.collected(BREAKOUT, one.settings, data))
        trained = calibration.train(place, BREAKOUT, one.settings)
        return trained, calibration_truth.of(trained, BREAKOUT, one.settings)

    _, free = found("costs.fee_bps=0 costs.slippage_bps=0")
    assert set(free.expected.values()) == {0.0}
    trained, dear = found("costs.fee_bps=50 costs.slippage_bps=0")
    own = trained.made.own_oos
    # by hand: half a percent of what is bought and of what is sold, in units of the risk from close to stop
    share = pl.col("stop_share").cast(pl.Float64)
    costs = own.with_columns(paid=0.005 * (2.0 + (pl.col("outcome") + 0.01 / share) * share) / share)
    chosen = policy.chosen(costs, "expected", 4)
    paid = (chosen["paid"] * chosen["weight"]).sum() / own["session"].n_unique()
    assert paid > 0.1 and dear.expected[Kind.NET] == pytest.approx(-paid, rel=0.05)


def test_looks_at_model_and_rule_are_held_against_their_true_difference(monkeypatch):
    """600 sessions of a difference of .5, in blocks of two holding times of one session."""
    daily = 0.5 + np.random.default_rng(3).standard_normal(600)
    monkeypatch.setattr(earned, "results", lambda *_: pl.DataFrame({"session": range(600), "uplift": daily}))
    monkeypatch.setattr(bounds, "blocks", lambda *_: Blocks(1.5, 0.025, 100, 1))
    trained = Trained(Market(1, None, pl.DataFrame()), SimpleNamespace(own_oos=pl.DataFrame()))
    settings = planted().settings
    found = {truth: calibration_truth._apart(trained, BREAKOUT, settings, truth) for truth in (0.5, 0.0, 1.0)}
    assert found[0.5] is None
    assert found[0.0] == paired.first_apart(daily, sessions=2) and found[1.0] == paired.first_apart(
        1.0 - daily, sessions=2
    )
    assert None not in (found[0.0], found[1.0])


def watched(**alarms: list[str]) -> Watched:
    """Two years before a change on 2016-01-04, and two after it."""
    days = {kind: [dt.date.fromisoformat(day) for day in found] for kind, found in alarms.items()}
    first, changes, last = (dt.date.fromisoformat(day) for day in ("2014-01-04", "2016-01-04", "2018-01-04"))
    return Watched(changes=changes, first=first, last=last, alarms=days)


def test_alarms_before_a_change_are_false_and_after_it_they_have_a_delay():
    """By hand; the interval of two false alarms in six years is Garwood's: .242 to 7.225 of them."""
    seen = [
        watched(input=["2014-05-01", "2015-05-01", "2016-03-04"], error_cusum=["2015-06-01", "2016-06-01"]),
        watched(input=[], error_cusum=["2016-07-04", "2016-08-04"]),
        watched(input=["2017-01-04"], error_cusum=[]),
    ]
    markets = [of(seed).model_copy(update={"watched": one}) for seed, one in enumerate(seen)]
    inputs, cusum = calibration_tables.alarms([*markets, of(9)])
    assert inputs[:4] == ("input", 3, pytest.approx(6.0, abs=0.01), 2) and inputs.found[:2] == (2, 3)
    assert (inputs.low * 6, inputs.high * 6) == pytest.approx((0.2422, 7.2247), abs=0.01)
    assert inputs.months == pytest.approx((2 + 12) / 2, abs=0.1)
    # what stays is one alarm, and after a false one nothing can be found
    assert cusum.false == 1 and cusum.found[:2] == (1, 2) and cusum.months == pytest.approx(6.0, abs=0.1)


def test_what_is_kept_comes_back_and_a_torn_line_is_measured_again(tmp_path, measured):
    facts, results = planted().facts, Results(tmp_path)
    results.add(facts, measured)
    results.add(facts, of(7, judged(NET=True)))
    path = results.path(facts)
    path.write_bytes(path.read_bytes()[:-20])
    assert results.of(facts) == [measured]
    results.add(facts, of(8))
    assert [one.seed for one in results.of(facts)] == [5, 8]
    assert results.points() == [facts]


def test_other_parameters_or_other_code_are_another_point(tmp_path, monkeypatch):
    results, first = Results(tmp_path), planted(0.3)
    assert results.path(first.facts) != results.path(planted(0.2).facts)
    seeds = [Point(*first[:3], with_seed(first.settings, seed), first.quick).facts for seed in (1, 2)]
    assert seeds[0] == seeds[1] == first.facts
    results.add(first.facts, of(1))
    monkeypatch.setattr(calibration_points, "code_digest", lambda: "other")
    assert results.of(planted(0.3).facts) == [] and results.points() == []


def test_a_family_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(BadParameters, match=r"FAMILY must be a family .* did you mean `martingale`"):
        point(BREAKOUT, "martingal", overrides="", quick=False)
    with pytest.raises(BadParameters, match="STRENGTH must be left out for clustered"):
        point(BREAKOUT, "clustered", strength=0.1, overrides="", quick=False)
    with pytest.raises(BadParameters, match="must be simulated"):
        point(BREAKOUT, "own", path=paths.parameters("breakout"), overrides="", quick=False)


def test_the_truth_of_an_event_is_that_of_its_session_and_symbol():
    settings = planted().settings
    days, made = market_of(settings.market)
    truth = truth_of(settings)
    assert len(truth) == len(days) * len(made.names)
    for session, symbol in ((300, 3), (1400, 7)):
        row = truth.filter(pl.col("session") == days[session], pl.col("symbol") == made.names[symbol])
        assert row[f"{TRUTH}drift"].to_list() == [made.truth["drift"][session, symbol]]


def test_who_knows_the_law_ranks_outcomes_better_than_the_candidate_on_a_market_never_seen():
    one = planted(0.5)
    oracle = Learnt(BREAKOUT, one.settings, range(50, 53))
    data = calibration.simulated(one.settings, 7)
    place = Market(7, data, calibration.collected(BREAKOUT, one.settings, data))
    trained = calibration.train(place, BREAKOUT, one.settings)
    own = trained.made.own_oos
    known = oracle(trained, own)
    assert known.columns == own.columns and known["event_id"].to_list() == own["event_id"].to_list()
    assert known.drop("expected", "predicted", "p_Loss", "p_Win").equals(
        own.drop("expected", "predicted", "p_Loss", "p_Win")
    )
    np.testing.assert_allclose(known["p_Loss"] + known["p_Win"], 1.0, atol=1e-5)
    truth = truth_of(with_seed(one.settings, 7)).select("session", "symbol", f"{TRUTH}heralded", f"{TRUTH}drift")
    asked = place.events.join(truth, on=["session", "symbol"], maintain_order="left")
    given = oracle.inputs(place.events, 7)
    np.testing.assert_allclose(given[:, -2:], asked[:, -2:].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(given[:, -3], asked["score"], rtol=1e-6)
    assert asked[f"{TRUTH}heralded"].mean() > 0.3
    ranks = [np.corrcoef(table["expected"].rank(), table["outcome"].rank())[0, 1] for table in (known, own)]
    assert ranks[0] > 0.15 and ranks[0] > ranks[1]


def test_every_way_of_training_is_entered_into_the_ledger_that_the_next_is_judged_by(monkeypatch):
    """Three ways: the third is judged by two attempts before it; a market is deployed where any of them was."""
    one = point(BREAKOUT, "planted", strength=0.3, overrides=SMALL, quick=False, attempts=3)
    assert len({candidate.recipe_digest(settings, {}) for settings in (one.settings, *one.tweaks)}) == 3
    seen, judge = [], gates.judge

    def second_deploys(found, *given, **more):
        seen.append(found.trials.width - 1)
        verdict, beside = judge(found, *given, **more)
        return verdict._replace(deploy=len(seen) == 2), beside

    monkeypatch.setattr(gates, "judge", second_deploys)
    found = measure(5, strategy=BREAKOUT, settings=one.settings, tweaks=one.tweaks)
    assert seen == [0, 1, 2] and found.attempts == 3
    assert found.deployed and found.deploying == 1 and found.champion.deploy
    assert 0.0 <= found.overfitting <= 1.0
    assert one.facts.attempts == 3 and one.facts != planted().facts
