"""The forecast's portfolio: limits, costs and timing against arithmetic, weights against another optimiser."""

import datetime as dt
import logging

import cvxpy
import numpy as np
import polars as pl
import pytest
from event_samples import market_of, walk
from forecast_samples import FORECAST, bars_that_pay
from scipy.optimize import minimize
from skfolio.measures import get_drawdowns, max_drawdown, mean, standard_deviation
from skfolio.optimization import MeanRisk, ObjectiveFunction
from skfolio.prior import BasePrior, ReturnDistribution

from bq.core import params, paths
from bq.market import calendars
from bq.market.calendars import sessions
from bq.serving import candidate
from bq.stats.bootstrap import Interval
from bq.strategies.component import Kind
from bq.strategies.forecast import optimised, portfolio, production, sectors
from bq.strategies.forecast.optimised import Asked
from bq.strategies.forecast.settings import ForecastSettings

HORIZON = 10


def settings(overrides="", *, tranches=1):
    wanted = f"portfolio.tranches={tranches} {overrides}"
    return params.load(paths.parameters("forecast"), ForecastSettings, overrides=wanted)


def forecasts(*, names=40, count=61, skill=0.3, seed=0, sectors=None):
    """Predictions of `count` sessions: `expected` is the outcome's standing with noise, `score` noise alone."""
    rng = np.random.default_rng(seed)
    calendar = sessions("XNYS").filter(pl.col("session").dt.year() >= 2010)
    volatility = rng.uniform(0.15, 0.6, names)
    outcome = 0.004 + volatility / 5.0 * rng.standard_normal((count, names))
    day, symbol = np.divmod(np.arange(count * names), names)
    return pl.DataFrame(
        {
            "symbol": [f"S{i:02d}" for i in symbol],
            "session": calendar["session"].gather(day),
            "t0": calendar["close_utc"].gather(day),
            "t1": calendar["close_utc"].gather(day + HORIZON),
            "t1_due": calendar["close_utc"].gather(day + HORIZON),
            "outcome": outcome.ravel(),
            "expected": (skill * outcome + 0.1 * (1 - skill) * rng.standard_normal((count, names))).ravel(),
            "score": rng.standard_normal(count * names),
            "volatility_60": volatility[symbol],
            "sector": [None if sectors is None else sectors[i] for i in symbol],
        }
    )


def wide(weights):
    """Weights by rebalance (row) and symbol (column)."""
    return weights.pivot("symbol", index="session", values="weight", sort_columns=True).drop("session").to_numpy()


@pytest.fixture(scope="module")
def run():
    sectors = " ".join(f"portfolio.sectors.S{i:02d}={'tech' if i < 24 else 'rest'}" for i in range(40))
    chosen = settings(f"{sectors} portfolio.risk_aversion=0.1")
    return portfolio.backtest(forecasts(), "expected", chosen)


def test_long_only_weights_keep_every_limit(run):
    w = wide(run.weights)
    np.testing.assert_allclose(w.sum(axis=1), 1.0, atol=1e-5)
    assert w.min() >= 0.0
    assert w.max() <= 0.03 + 1e-6
    assert w[:, :24].sum(axis=1).max() <= 0.6 + 1e-6  # the sector holds 60% of the names, more than the 30% asked
    assert run.periods["turnover"][1:].max() <= 0.10 + 1e-4
    assert run.notices == ()


def test_sectors_of_the_data_bind_like_those_of_the_settings_which_come_first(run):
    of_data = ["tech" if i < 24 else "rest" for i in range(40)]
    chosen = settings("portfolio.risk_aversion=0.1")
    same = portfolio.backtest(forecasts(sectors=of_data), "expected", chosen)
    np.testing.assert_allclose(wide(same.weights), wide(run.weights), atol=1e-4)
    none = portfolio.backtest(forecasts(), "expected", chosen)
    assert wide(none.weights)[:, :24].sum(axis=1).max() > 0.6 + 1e-3  # so the limit of `run` binds
    own = settings("portfolio.sectors.S00=rest").portfolio
    assert sectors.of(forecasts(count=1, sectors=of_data), own).to_list() == ["rest", *of_data[1:]]


@pytest.mark.parametrize(
    ("known", "own", "says"),
    [
        (None, "", ["no sector is known, so the sector limit is not applied"]),
        (["tech", None, "rest"], "", ["1 of 3 names have no known sector, so no sector limit holds them: S01"]),
        (["tech", None, "rest"], "portfolio.sectors.S01=tech", []),
    ],
    ids=["none", "some", "all"],
)
def test_a_run_and_a_scan_say_of_which_names_no_sector_is_known(known, own, says, caplog):
    day = forecasts(names=3, count=1, sectors=known)
    assert FORECAST.views.notices(day, settings(own)) == says
    portfolio._warn.cache_clear()  # a process says it once, and may have
    with caplog.at_level(logging.WARNING, logger="bq"):
        portfolio.sizes(day, "expected", settings(own))
    assert [record.getMessage() for record in caplog.records] == [f"portfolio: {one}" for one in says]


def test_sizes_of_a_day_are_the_first_portfolio_of_a_backtest():
    """Open events have no outcome yet; bought from cash, the weights are those of a first rebalance."""
    day = forecasts(count=1)
    first = portfolio.backtest(day, "expected", settings()).weights
    shuffled = day.sample(fraction=1.0, shuffle=True, seed=1)
    open_ = shuffled.with_columns(weight=portfolio.sizes(shuffled.drop("outcome"), "expected", settings()))
    assert open_.sort("symbol")["weight"].to_numpy() == pytest.approx(first["weight"].to_numpy(), abs=1e-4)
    unknown = shuffled.with_columns(expected=pl.lit(None, pl.Float64))
    assert portfolio.sizes(unknown, "expected", settings()).to_list() == [0.0] * 40


def test_portfolios_do_not_overlap_in_time(run):
    starts = run.periods.select("session").join(forecasts().unique("session"), on="session", maintain_order="left")[
        "t0"
    ]
    assert len(run.periods) == 7
    assert (starts.to_list()[1:]) == run.periods["end"].to_list()[:-1]


def test_net_return_is_weights_times_outcomes_less_costs_on_what_was_traded(run):
    predictions, w = forecasts(), wide(run.weights)
    before = np.zeros(40)
    for i, period in enumerate(run.periods.rows(named=True)):
        outcome = predictions.filter(pl.col("session") == period["session"]).sort("symbol")["outcome"].to_numpy()
        gross = w[i] @ outcome
        traded = np.abs(w[i] - before).sum()
        assert period["gross"] == pytest.approx(gross)
        assert period["net"] == pytest.approx(gross - 0.0005 * traded)
        assert period["turnover"] == pytest.approx(traded / 2)
        before = w[i] * (1 + outcome) / (1 + gross)


def test_equal_weight_pays_for_what_prices_moved():
    two = pl.DataFrame(
        {"symbol": ["A", "B"] * 2, "outcome": [0.5, -0.1, 0.2, 0.2], "volatility_60": [0.2] * 4, "sector": None}
    )
    times = forecasts(names=1, count=11).gather([0, 0, 10, 10]).select("session", "t0", "t1_due")
    got = portfolio.value(pl.concat([two, times], how="horizontal"), None, settings())
    drift = 0.5 * 1.5 / 1.2 - 0.5  # of A, bought back from it and spent on B
    np.testing.assert_allclose(got["value"], [0.2 - 0.0005, 0.2 - 0.0005 * 2 * drift])


def asked(kind, seed, *, n=12, largest=0.2, risk_aversion=0.5, room=0.3, groups=0):
    """A rebalance of `n` names in `groups` sectors, and the weights that are held."""
    rng = np.random.default_rng(seed)
    view, volatility = rng.standard_normal(n), rng.uniform(0.5, 2.0, n)
    member = np.equal.outer(np.arange(groups), np.arange(n) % groups).astype(float) if groups else np.zeros((0, n))
    held = np.full(n, 1 / n) if kind == "long_only" else np.repeat([0.5 / n, -0.5 / n], n // 2)
    limits = np.full(groups, 1.2 / groups if kind == "long_only" else 0.04) if groups else np.zeros(0)
    return Asked(view, volatility, risk_aversion, kind == "long_only", largest, member, limits, held, room)


@pytest.mark.parametrize("kind", ["long_only", "long_short"])
def test_weights_are_those_of_another_optimiser(kind):
    one = asked(kind, 5)
    n, before, found = 12, one.before, optimised.weights(one)
    centre = 1 / n if kind == "long_only" else 0.0
    covariance = 0.3 * np.outer(one.volatility, one.volatility) + 0.7 * np.diag(one.volatility**2)

    def loss(parts):
        w = before + parts[:n] - parts[n:]
        return -one.view @ w + 0.5 * n * (w - centre) @ covariance @ (w - centre)

    budget, lowest = (1.0, 0.0) if kind == "long_only" else (0.0, -0.2)
    limits = [
        {"type": "eq", "fun": lambda x: (before + x[:n] - x[n:]).sum() - budget},
        {"type": "ineq", "fun": lambda x: 0.3 - x.sum()},
        {"type": "ineq", "fun": lambda x: 0.2 - (before + x[:n] - x[n:])},
        {"type": "ineq", "fun": lambda x: (before + x[:n] - x[n:]) - lowest},
    ]
    best = minimize(loss, np.zeros(2 * n), bounds=[(0, 1)] * 2 * n, constraints=limits, options={"ftol": 1e-12})
    assert best.success
    assert np.abs(found - before).sum() <= 0.3 + 1e-4
    assert loss(np.concatenate([np.maximum(found - before, 0), np.maximum(before - found, 0)])) <= best.fun + 1e-5


class Given(BasePrior):
    """skfolio's estimator of what is expected, for what is expected already."""

    def __init__(self, mu, covariance):
        self.mu, self.covariance = mu, covariance

    def fit(self, X, y=None):
        self.return_distribution_ = ReturnDistribution(mu=self.mu, covariance=self.covariance, returns=np.asarray(X))
        return self


def price_of_turnover(one):
    return lambda w: -optimised.OVERSTEP * cvxpy.pos(cvxpy.norm1(w - one.before) - one.room)


@pytest.mark.parametrize("groups", [0, 3])
@pytest.mark.parametrize("kind", ["long_only", "long_short"])
def test_weights_are_those_of_skfolio(kind, groups):
    """Once bought from cash, once from what is held, where turnover within its limit costs nothing."""
    for seed, room in ((0, None), (1, 0.3), (2, 0.05)):
        one = asked(kind, seed, n=30, largest=0.06, risk_aversion=0.25, room=room or 0.0, groups=groups)
        one = one if room else one._replace(before=None)

        covariance = 0.3 * np.outer(one.volatility, one.volatility) + 0.7 * np.diag(one.volatility**2)
        sides = {"budget": 1.0} if one.long_only else {"budget": 0.0, "max_long": 0.5, "max_short": 0.5}
        model = MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
            risk_aversion=one.risk_aversion * 30,
            prior_estimator=Given(one.view, covariance),
            min_weights=0.0 if one.long_only else -0.06,
            max_weights=0.06,
            target_weights=np.full(30, 1 / 30) if one.long_only else None,
            left_inequality=(one.member if one.long_only else np.vstack([one.member, -one.member])) if groups else None,
            right_inequality=(one.limits if one.long_only else np.tile(one.limits, 2)) if groups else None,
            add_objective=price_of_turnover(one) if room else None,
            **sides,
        )
        np.testing.assert_allclose(optimised.weights(one), model.fit(np.zeros((2, 30))).weights_, atol=2e-5)


def test_weights_do_not_depend_on_the_rebalance_solved_before():
    first, other = asked("long_only", 0), asked("long_only", 1)
    alone = optimised.weights(first)
    optimised.weights(other)
    assert (optimised.weights(first) == alone).all()


def test_an_unsolvable_problem_keeps_the_last_weights():
    """A risk beyond all floating-point numbers is one that no solver gets to the end of."""
    day = forecasts(names=40, count=21)
    gave_up = settings("portfolio.risk_aversion=1e300")
    assert optimised.weights(asked("long_only", 0, largest=0.05)) is None  # twelve names of 5% are no whole portfolio
    run = portfolio.backtest(day, "expected", gave_up)
    assert any("the previous or equal weights were kept (3 times)" in notice for notice in run.notices)
    first = run.weights.filter(pl.col("session") == day["session"][0])["weight"]
    assert first.to_list() == pytest.approx([1 / 40] * 40)


def test_long_short_is_neutral_and_within_half_a_side():
    w = wide(portfolio.backtest(forecasts(count=31), "expected", settings("portfolio.kind=long_short")).weights)
    np.testing.assert_allclose(w.sum(axis=1), 0.0, atol=1e-6)
    assert np.where(w > 0, w, 0).sum(axis=1).max() <= 0.5 + 1e-6
    assert np.abs(w).max() <= 0.03 + 1e-6


def test_better_forecasts_earn_more():
    free = settings("portfolio.max_turnover=1.0")
    means = [
        portfolio.value(forecasts(skill=skill), by, free)["value"].mean()
        for skill, by in ((1.0, "expected"), (0.3, "expected"), (0.3, None))
    ]
    assert means == sorted(means, reverse=True)


def test_what_comes_later_changes_no_weight():
    first = forecasts()
    last = first["session"].unique().sort()[30]
    later = pl.when(pl.col("session") >= last).then(-pl.col("outcome")).otherwise("outcome")
    then, now = (
        portfolio.backtest(frame, "expected", settings()).weights.filter(pl.col("session") <= last)
        for frame in (first, first.with_columns(outcome=later))
    )
    assert then.equals(now)


def test_too_few_names_for_the_largest_position_may_hold_twice_an_equal_weight_and_it_is_said():
    few = portfolio.backtest(forecasts(names=20, count=21), "expected", settings("portfolio.max_turnover=1.0"))
    assert few.periods["largest"].max() == pytest.approx(0.1, abs=1e-6)
    assert "too few names for a largest position of 3.0%" in few.notices[0]
    assert "(3 times)" in few.notices[0]


def test_names_that_leave_are_sold_whatever_the_turnover_limit_and_it_is_said():
    predictions = forecasts(count=21)
    left = predictions["session"].unique().sort()[10]
    gone = (pl.col("symbol") < "S08") & (pl.col("session") >= left)
    run = portfolio.backtest(predictions.filter(~gone), "expected", settings("portfolio.max_position=0.05"))
    assert any("turnover exceeded 10%" in notice for notice in run.notices)
    assert run.weights.filter(pl.col("session") == left, pl.col("symbol") < "S08").is_empty()
    np.testing.assert_allclose(wide(run.weights.filter(pl.col("session") == left)).sum(), 1.0, atol=1e-5)


def test_a_session_without_forecasts_earns_null_and_keeps_the_pairing():
    predictions = forecasts(count=21)
    silent = predictions["session"].unique().sort()[10]
    missing = pl.when(pl.col("session") != silent).then("expected")
    predictions = predictions.with_columns(expected=missing)
    model, rule = (portfolio.value(predictions, by, settings()) for by in ("expected", "score"))
    assert model["session"].equals(rule["session"])
    assert model["value"].is_null().to_list() == [False, True, False]


@pytest.mark.parametrize("kind", ["long_only", "long_short"])
def test_what_is_traded_is_what_the_portfolio_holds(kind):
    """The trades of a rebalance, by their weights, earn its gross return."""
    asked = settings(f"portfolio.kind={kind}")
    predictions = forecasts(count=30).with_columns(event_id=pl.concat_str("symbol", pl.col("session").cast(pl.String)))
    run, traded = (of(predictions, "expected", asked) for of in (portfolio.backtest, portfolio.chosen))
    by_session = traded.group_by("session").agg(
        gross=(pl.col("weight") * pl.col("outcome")).sum(), names=pl.len().cast(pl.Int64)
    )
    both = run.periods.join(by_session, on="session", suffix="_traded").sort("session")
    assert len(both) == len(run.periods) == 3 and both["names"].to_list() == both["names_traded"].to_list()
    assert both["gross_traded"].to_list() == pytest.approx(both["gross"].to_list())
    assert (traded["weight"] != 0.0).all() and (traded["weight"].min() < 0.0) == (kind == "long_short")


def test_names_without_a_forecast_or_a_volatility_are_no_obstacle():
    holes = forecasts(count=11).with_columns(
        expected=pl.when(pl.col("symbol") != "S03").then("expected"),
        volatility_60=pl.when(pl.col("symbol") != "S05").then("volatility_60"),
    )
    assert portfolio.value(holes, "expected", settings())["value"].is_finite().all()


def test_returns_of_the_sessions_compound_to_those_of_the_period():
    """Bars made here; outcomes from the open of the session after the rebalance to the close that ends the period."""
    calendar = sessions("XNYS").filter(pl.col("session").dt.year() >= 2010).head(32)
    rng = np.random.default_rng(2)
    frames, outcomes = [], {}
    for name in ("A", "B", "C"):
        close = 50 * np.exp(np.cumsum(0.02 * rng.standard_normal(32)))
        opened = close * np.exp(0.01 * rng.standard_normal(32))
        outcomes[name] = [close[t + 10] / (opened if name != "C" else close)[t + 1] - 1 for t in (0, 10, 20)]
        bars = {"symbol": name, "session": calendar["session"], "open": opened, "close": close}
        frames.append(
            pl.DataFrame(bars).with_columns(adj=pl.lit(1.0), open=pl.lit(None) if name == "C" else pl.col("open"))
        )
    rows = [
        {"symbol": name, "session": calendar["session"][t], "t0": calendar["close_utc"][t], "outcome": values[i]}
        | {"t1_due": calendar["close_utc"][t + 10], "volatility_60": 0.2, "sector": None}
        for name, values in outcomes.items()
        for i, t in enumerate((0, 10, 20))
    ]
    run = portfolio.backtest(pl.DataFrame(rows), None, settings("portfolio.cost_bps=0.0"))
    by_day = portfolio.daily(run.weights, run.periods, pl.concat(frames), calendar)
    assert len(by_day) == 30
    compounded = np.prod(1 + by_day["value"].to_numpy().reshape(3, 10), axis=1) - 1
    np.testing.assert_allclose(compounded, run.periods["net"], rtol=1e-12)


def sixty_sessions():
    """Bars of an index and three names, predictions every ten sessions, and what the index grew over their periods."""
    bars = pl.concat([walk(name, 60, seed=seed) for seed, name in enumerate(("SPX", "A", "B", "C"))])
    calendar = sessions("XNYS").filter(pl.col("session") >= bars["session"].min()).head(60)
    close = {name: group["close"].to_numpy() for (name,), group in bars.group_by("symbol")}
    rows = [
        {
            "symbol": name,
            "session": calendar["session"][t],
            "t0": calendar["close_utc"][t],
            "volatility_60": 0.2,
            "sector": None,
        }
        | {"t1_due": calendar["close_utc"][t + 10], "outcome": close[name][t + 10] / close[name][t + 1] - 1}
        | {"expected": float(i), "score": -float(i)}
        for t in (0, 10, 20, 30, 40)
        for i, name in enumerate("ABC")
    ]
    index = np.prod([close["SPX"][t + 10] / close["SPX"][t + 1] for t in (0, 10, 20, 30, 40)])
    return market_of(bars), pl.DataFrame(rows), index


def test_the_comparison_holds_model_rule_score_equal_weight_and_index():
    market, predictions, index = sixty_sessions()
    table = production.compare(predictions, settings(), market)
    assert table["held"].to_list() == ["model", "rule score", "equal weight", "SPX"]
    assert table["days"].to_list() == [50] * 4
    assert table["information_ratio"].is_null().to_list() == [False, False, True, False]
    assert table["return_a_year"][3] == pytest.approx(index ** (252 / 50) - 1)


def test_figures_a_year_follow_the_calendar_of_the_market(monkeypatch):
    market, predictions, index = sixty_sessions()
    usual = production.compare(predictions, settings(), market)
    monkeypatch.setattr(calendars, "periods_per_year", {"XNYS": 365}.get)
    found = production.compare(predictions, settings(), market)
    assert found["return_a_year"][3] == pytest.approx(index ** (365 / 50) - 1)
    for name in ("volatility_a_year", "sharpe"):
        assert found[name].to_numpy() == pytest.approx(usual[name].to_numpy() * np.sqrt(365 / 252))


def test_figures_are_those_of_skfolio():
    rng = np.random.default_rng(0)
    market = 0.03 * rng.standard_normal(300)
    ours = 0.004 + market + 0.01 * rng.standard_normal(300)
    got = production.figures(ours, market, periods_per_year=25.2, alpha=0.025, draws=2000, seed=1)
    difference = ours - market
    assert got.sharpe.mean == pytest.approx(mean(ours) / standard_deviation(ours) * np.sqrt(25.2))
    wanted = mean(difference) / standard_deviation(difference) * np.sqrt(25.2)
    assert got.information_ratio.mean == pytest.approx(wanted)
    assert got.drawdown == pytest.approx(max_drawdown(get_drawdowns(ours, compounded=True)))
    assert got.sharpe.low < got.sharpe.mean < got.sharpe.high


def test_intervals_of_a_ratio_cover_the_truth_as_often_as_they_say():
    truth, hits = 0.2, 0
    for seed in range(200):
        returns = truth + np.random.default_rng(seed).standard_normal(150)
        found = production.ratio(returns, periods_per_year=1.0, alpha=0.025, draws=500, seed=seed)
        hits += found.low <= truth <= found.high
    assert 176 <= hits <= 198  # 95% of 200, less what percentile intervals of few blocks are short of


def bars_of(predictions):
    """A market of two and a half years by which every name earns its outcome."""
    calendar = sessions("XNYS").filter(pl.col("session").dt.year() >= 2010).head(620)
    return market_of(bars_that_pay(predictions, calendar))


@pytest.fixture(scope="module")
def long_stream():
    """Sixteen months with an event every second session, of which every fifth is a rebalance."""
    stream = forecasts(names=12, count=340, skill=0.9)
    kept = stream["session"].unique().sort().gather_every(2)
    return stream.filter(pl.col("session").is_in(kept.implode()))


def test_requirements_state_figures_and_what_is_missing(long_stream):
    every_second = settings("events.every_sessions=2 gate.draws=2000")
    found = {c.kind: c for c in production.requirements(long_stream, every_second, bars_of(long_stream))}
    assert list(found) == [
        Kind.SAMPLE_MONTHS,
        Kind.RANK_IC,
        Kind.ROLLING_RANK_IC,
        Kind.INFORMATION_RATIO,
        Kind.SHARPE,
        Kind.PORTFOLIO_DRAWDOWN,
    ]
    assert found[Kind.RANK_IC].holds and found[Kind.SAMPLE_MONTHS].holds
    strict = settings("events.every_sessions=2 gate.draws=2000 production.min_sharpe=99.0 production.min_months=36")
    short = {c.kind: c for c in production.requirements(long_stream, strict, bars_of(long_stream))}
    assert not short[Kind.SHARPE].holds
    assert short[Kind.SHARPE].missing.by == pytest.approx(99.0 - short[Kind.SHARPE].value)
    months = found[Kind.SAMPLE_MONTHS].value
    assert short[Kind.SAMPLE_MONTHS].missing.months == pytest.approx(36 - months)


def test_what_is_judged_is_what_is_shown_and_what_skfolio_says_of_the_daily_returns(long_stream):
    market, chosen = bars_of(long_stream), settings("events.every_sessions=2 gate.draws=1000")
    judged = {c.kind: c for c in production.requirements(long_stream, chosen, market)}
    shown = production.compare(long_stream, chosen, market).row(0, named=True)
    days = production.daily_returns(long_stream, "expected", chosen, market)
    own, equal = days["value"].to_numpy(), days["equal"].to_numpy()
    year = np.sqrt(252)
    wanted = {
        Kind.SHARPE: ("sharpe", mean(own) / standard_deviation(own) * year),
        Kind.INFORMATION_RATIO: ("information_ratio", mean(own - equal) / standard_deviation(own - equal) * year),
        Kind.PORTFOLIO_DRAWDOWN: ("drawdown", max_drawdown(get_drawdowns(own, compounded=True))),
    }
    for kind, (column, right) in wanted.items():
        assert judged[kind].value == pytest.approx(right) == shown[column]
        assert judged[kind].sessions == len(days) == shown["days"] == 340


def test_a_session_without_a_position_earns_nothing_and_counts(long_stream):
    silent = long_stream["session"].unique().sort()[10]
    unknown = long_stream.with_columns(expected=pl.when(pl.col("session") < silent).then("expected"))
    days = production.daily_returns(unknown, "expected", settings("events.every_sessions=2"), bars_of(unknown))
    late = days.filter(pl.col("session") > silent + dt.timedelta(days=40))["value"]
    assert len(days) == 340 and len(late) > 250 and (late == 0).all()


def test_each_name_adds_to_a_session_and_together_they_are_what_was_earned():
    predictions = forecasts()
    for kind in ("long_only", "long_short"):
        chosen = settings(f"portfolio.kind={kind}")
        parts = portfolio.contributions(predictions, "expected", chosen)
        total = parts.group_by("session").agg(pl.col("value").sum()).sort("session")
        earned = portfolio.value(predictions, "expected", chosen)
        np.testing.assert_allclose(total["value"], earned["value"], rtol=1e-9)


@pytest.mark.parametrize(
    ("interval", "by", "sessions"),
    [
        ((0.019, -0.031, 0.069), 0.031, None),  # 0.020 is 0.001 away, but its lower bound would be -0.030
        ((0.019, 0.009, 0.029), 0.001, None),
        ((0.030, -0.010, 0.070), 0.010, 78),  # 100 sessions × ((0.04 / 0.03)² − 1) = 77.8
        ((-0.010, -0.050, 0.030), 0.050, None),
    ],
    ids=["bound-and-mean", "mean", "bound", "negative"],
)
def test_what_a_rank_ic_lacks_meets_both_of_its_conditions(interval, by, sessions):
    mean_, low, high = interval
    found = production._missing(Interval(mean_, low, high, 100, 20.0), 0.02)
    assert found.by == pytest.approx(by) and found.sessions == sessions
    assert mean_ + found.by >= 0.02 - 1e-12 and low + found.by >= -1e-12


def test_a_rank_ic_has_one_interval_in_a_report(long_stream):
    """The table of figures and the gate."""
    chosen = settings("events.every_sessions=2 gate.draws=1000")
    stream = long_stream.with_columns(
        event_id=pl.col("symbol") + pl.col("session").cast(pl.String), label=pl.col("outcome")
    )
    judged = {c.kind: c for c in production.requirements(stream, chosen, bars_of(stream))}[Kind.RANK_IC]
    table = candidate.tables(stream.with_columns(model=pl.lit("stack")), FORECAST, chosen)
    shown = table.row(by_predicate=pl.col("metric") == "rank IC", named=True)
    assert (judged.value, judged.low, judged.high) == pytest.approx((shown["value"], shown["low"], shown["high"]))


def test_what_cannot_be_computed_holds_nothing():
    few = forecasts(names=12, count=12)
    short = production.requirements(few, settings("gate.draws=1000"), bars_of(few))
    assert not any(component.holds for component in short)
    assert all(component.missing for component in short)


def test_useless_forecasts_do_not_pass_as_a_rank_ic():
    stream = forecasts(names=12, count=300, skill=0.0, seed=4)
    six = stream.filter(pl.col("symbol") < "S06")
    found = production.requirements(six, settings(), bars_of(six))
    ic = next(component for component in found if component.kind == Kind.RANK_IC)
    assert ic.holds is False


def test_tranches_start_one_after_the_other_and_each_is_a_portfolio_of_its_own():
    """Sessions 0 to 60 with a horizon of ten: five tranches begin two sessions apart."""
    predictions, five = forecasts(), settings(tranches=5)
    runs = portfolio.tranches(predictions, "expected", five)
    days = predictions["session"].unique().sort()
    assert [run.periods["session"][0] for run in runs] == [days[start] for start in (0, 2, 4, 6, 8)]
    for start, run in zip((0, 2, 4, 6, 8), runs, strict=True):
        alone = portfolio.backtest(predictions.filter(pl.col("session") >= days[start]), "expected", settings())
        assert run.periods.equals(alone.periods)
    earned = portfolio.value(predictions, "expected", five)
    assert earned["session"].to_list() == sorted(day for run in runs for day in run.periods["session"])


@pytest.mark.parametrize(("every", "count"), [(1, 5), (4, 3), (10, 1)], ids=["daily", "every-fourth", "every-tenth"])
def test_there_are_no_more_tranches_than_sessions_in_a_horizon(every, count):
    predictions = forecasts()
    kept = predictions["session"].unique().sort().gather_every(every)
    rows = predictions.filter(pl.col("session").is_in(kept.implode()))
    assert len(portfolio.tranches(rows, None, settings(tranches=5))) == count


def test_the_capital_of_a_day_is_divided_among_the_tranches(long_stream):
    days = long_stream["session"].unique().sort().head(25)
    some = long_stream.filter(pl.col("session").is_in(days.implode()))
    market, five = bars_of(long_stream), settings("events.every_sessions=2", tranches=5)
    whole = production.daily_returns(some, "expected", five, market)
    parts = [
        production.daily_returns(
            some.filter(pl.col("session") >= days[start]),
            "expected",
            settings("events.every_sessions=2"),
            market,
        ).select("session", pl.col("value").alias(str(start)))
        for start in range(5)
    ]
    wide_ = whole.select("session")
    for part in parts:
        wide_ = wide_.join(part, on="session", how="left")
    mean_of_parts = wide_.drop("session").fill_null(0.0).mean_horizontal()
    np.testing.assert_allclose(whole["value"], mean_of_parts, atol=1e-9)


def test_what_names_add_in_all_tranches_sums_to_what_they_earned():
    predictions, five = forecasts(), settings("portfolio.kind=long_short", tranches=5)
    parts = portfolio.contributions(predictions, "expected", five)
    total = parts.group_by("session").agg(pl.col("value").sum()).sort("session")
    np.testing.assert_allclose(total["value"], portfolio.value(predictions, "expected", five)["value"], rtol=1e-9)


def test_without_choosing_a_long_short_portfolio_holds_cash():
    predictions = forecasts()
    assert portfolio.value(predictions, None, settings("portfolio.kind=long_short"))["value"].to_list() == [0.0] * 7
    assert portfolio.value(predictions, None, settings())["value"].abs().min() > 0
