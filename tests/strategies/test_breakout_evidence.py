"""What is shown of a backtest: tables that add up, intervals with their samples, and when they prove nothing."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, days_of, market_of, random_market

from bq.core.errors import BadParameters
from bq.stats.bootstrap import Interval
from bq.strategies import store
from bq.strategies.breakout import STRATEGY, schedule
from bq.strategies.breakout.backtest import backtest, signals
from bq.strategies.breakout.comparison import conclusion, evaluation
from bq.strategies.breakout.evidence import exhibits
from bq.strategies.breakout.performance import performance, returns
from bq.strategies.breakout.prepare import prepare
from bq.strategies.breakout.quality import aligned, in_modes
from bq.strategies.events import Built

SETTINGS = breakout_settings(risk={"max_positions": 3}, gate={"draws": 1000}, exit={"max_holding_days": 10})


@pytest.fixture(scope="module")
def sample():
    return random_market(11, count=700)


@pytest.fixture(scope="module")
def shown(sample, tmp_path_factory):
    """The exhibits by title, the events and the portfolio."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        found = store.collect(STRATEGY, SETTINGS, sample)
    made = exhibits(Built(found.events, found.refused), sample, SETTINGS)
    return {one.title: one for one in made}, found.events, backtest(prepare(sample, SETTINGS.universe), SETTINGS)


@pytest.fixture(scope="module")
def answers(sample):
    """A probability for most signals."""
    prepared = prepare(sample, SETTINGS.universe)
    found = signals(prepared, SETTINGS)
    rng = np.random.default_rng(5)
    days = prepared.sessions[found.session]
    names = [prepared.symbols[i] for i in found.symbol]
    table = pl.DataFrame({"session": days, "symbol": names, "probability": rng.uniform(0.2, 0.8, len(days))})
    return table.with_columns(pl.col("session").cast(pl.Date)).sample(fraction=0.8, seed=1)


def test_every_trade_and_every_signal_is_counted_once(shown):
    tables, events, portfolio = shown
    reasons, decisions = tables["How trades ended"].table, tables["Signals by decision"].table
    assert reasons["trades"].sum() == len(portfolio.r) and reasons["share"].sum() == pytest.approx(1.0)
    assert (reasons["mean_R"] * reasons["trades"]).sum() == pytest.approx(portfolio.r.sum())
    assert decisions["events"].sum() == len(events)
    assert dict(decisions.select("decision", "events").rows())["taken"] == events["taken"].sum()


def test_what_the_portfolio_earned_stands_beside_benchmark_and_buy_and_hold(shown):
    tables, _, portfolio = shown
    table = tables["What the portfolio earned"].table
    figures = {row["figure"]: row for row in table.iter_rows(named=True)}
    assert float(figures["total return [%]"]["breakout"]) == pytest.approx(
        100 * portfolio.equity[-1] / 1e6 - 100, abs=0.1
    )
    assert figures["trades"] == {
        "figure": "trades",
        "breakout": str(len(portfolio.r)),
        "benchmark": "–",
        "buy and hold": "–",
    }
    for level in ("benchmark", "buy_and_hold"):
        grown = portfolio.days[level][-1] / portfolio.days[level][0] - 1
        assert float(figures["total return [%]"][level.replace("_", " ")]) == pytest.approx(100 * grown, abs=0.1)
    assert "252 sessions a year" in tables["What the portfolio earned"].text


def test_buy_and_hold_is_equal_money_on_the_first_session_and_cash_after_the_last_bar():
    days = days_of(80)
    closes = {
        "DOUBLES": np.repeat([10.0, 20.0], 40),
        "LEAVES": np.repeat([10.0, 5.0], [20, 10]),  # no bar after the 30th session
        "COMES": np.repeat([1.0, 3.0], [50, 20]),  # none before the 10th
    }
    first = {"DOUBLES": 0, "LEAVES": 0, "COMES": 10}
    frames = {
        name: pl.DataFrame({"session": days[first[name] : first[name] + len(close)], "volume": 1e6}).with_columns(
            pl.Series(field, close) for field in ("open", "high", "low", "close")
        )
        for name, close in closes.items()
    }
    prepared = prepare(market_of(frames), SETTINGS.universe)
    whole = backtest(prepared, SETTINGS).days["buy_and_hold"] / 1e6
    assert whole.gather([0, 20, 40, 79]).to_list() == [1.0, (1 + 0.5) / 2, (2 + 0.5) / 2, (2 + 0.5) / 2]
    later = backtest(prepared, SETTINGS, start=days[50]).days["buy_and_hold"] / 1e6
    assert later.gather([0, 9, 10, 29]).to_list() == [1.0, 1.0, (1 + 3) / 2, (1 + 3) / 2]


def test_a_year_is_as_long_as_the_calendar_says(shown):
    _, _, portfolio = shown
    always = dataclasses.replace(portfolio, prepared=dataclasses.replace(portfolio.prepared, calendar="24/7"))
    ours, theirs = performance(portfolio), performance(always)
    for name, power in {"sharpe_ratio": 0.5, "sortino_ratio": 0.5, "annual_volatility": 0.5, "turnover": 1.0}.items():
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name) * (365 / 252) ** power), name
    assert 1 + theirs.annual_return == pytest.approx((1 + ours.annual_return) ** (365 / 252))


def test_curves_are_the_levels_that_the_figures_are_of(shown, sample, answers):
    tables, _, portfolio = shown
    drawn = tables["What the portfolio earned"].curves
    assert drawn.columns == ["session", "breakout", "benchmark", "buy and hold"]
    assert drawn["breakout"].to_list() == portfolio.equity.tolist()
    start = sample.bars["session"].unique().sort()[300]
    main, modes = evaluation(sample, SETTINGS, answers, start=start, title="A window")
    assert main.curves.columns == ["session", "ML off", "ML on", "benchmark", "buy and hold"]
    assert main.curves["session"][0] == start and modes.curves is None
    shares = dict(main.table.select("figure", "ML on").rows())
    earned = 100 * (main.curves["ML on"][-1] / main.curves["ML on"][0] - 1)
    assert float(shares["total return [%]"]) == pytest.approx(earned, abs=0.05)


def test_means_of_taken_and_all_are_over_events_and_inside_their_intervals(shown):
    tables, events, _ = shown
    rows = {row["which"]: row for row in tables["Signals taken and all signals"].table.iter_rows(named=True)}
    closed = events.filter(pl.col("outcome").is_not_null())
    assert rows["all"]["mean_R"] == pytest.approx(closed["outcome"].mean())
    assert rows["taken"]["mean_R"] == pytest.approx(closed.filter("taken")["outcome"].mean())
    assert rows["taken − all"]["mean_R"] == pytest.approx(rows["taken"]["mean_R"] - rows["all"]["mean_R"])
    assert rows["taken"]["events"] + rows["shadow"]["events"] == rows["all"]["events"] == len(closed)
    assert all(row["low"] < row["mean_R"] < row["high"] for row in rows.values())


def test_an_evaluation_shows_the_backtester_s_own_figures(sample, answers):
    start = sample.bars["session"].unique().sort()[300]
    chosen = breakout_settings(**_sections(), ml={"prediction_mode": "filter", "confidence_threshold": 0.5})
    main, modes = evaluation(sample, chosen, answers, start=start, title="A window")
    rows = {row["figure"]: row for row in main.table.iter_rows(named=True)}
    prepared = prepare(sample, SETTINGS.universe)
    enabled = breakout_settings(**_sections(), ml={"enabled": True, "prediction_mode": "filter"})
    p = aligned(prepared, signals(prepared, SETTINGS), answers)
    for column, result in {
        "ML off": backtest(prepared, SETTINGS, start=start),
        "ML on": backtest(prepared, enabled, probability=p, start=start),
    }.items():
        measured = performance(result)
        assert rows["trades closed"][column] == str(measured.trades)
        for figure, value in {
            "win rate": measured.win_rate,
            "expectancy [R]": measured.expectancy,
            "Sharpe ratio (annual)": measured.sharpe_ratio,
        }.items():
            assert rows[figure][column].startswith(f"{value:+.3f} [")
    assert modes.table["ML"].to_list() == ["off", "score_enhancement", "filter", "replace"]
    assert modes.table["dropped"][2] > 0 == modes.table["dropped"][1]


def test_without_probabilities_every_mode_but_the_ranking_is_the_rules(sample, answers):
    prepared = prepare(sample, SETTINGS.universe)
    made = in_modes(prepared, SETTINGS, answers.clear(), start=None)
    assert np.array_equal(made["filter"].equity, made["off"].equity)
    assert np.array_equal(made["replace"].equity, made["score_enhancement"].equity)


def test_a_mode_that_takes_nothing_proves_nothing_and_breaks_nothing(sample, answers):
    never = breakout_settings(**_sections(), ml={"prediction_mode": "filter", "confidence_threshold": 1.0})
    everything = prepare(sample, never.universe)
    found = signals(everything, never)
    all_known = pl.DataFrame(
        {
            "session": pl.Series(everything.sessions[found.session]).cast(pl.Date),
            "symbol": [everything.symbols[i] for i in found.symbol],
            "probability": 0.1,
        }
    )
    main, _ = evaluation(sample, never, all_known, start=None, title="A window")
    assert main.text.startswith("This sample proves nothing: 0 trades with ML")
    assert dict(main.table.select("figure", "ML on").rows())["expectancy [R]"] == "–"


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (Interval(0.1, 0.05, 0.2, 500, 10.0), "This sample proves nothing: 500 sessions are 10 independent blocks"),
        (Interval(0.1, -0.05, 0.2, 2000, 40.0), "This sample proves no difference: expectancy differs by +0.100"),
        (Interval(0.1, 0.05, 0.2, 2000, 40.0), "ML helped beyond chance: expectancy differs by +0.100"),
        (Interval(-0.1, -0.2, -0.05, 2000, 40.0), "ML hurt beyond chance"),
    ],
    ids=["too short", "holds zero", "above", "below"],
)
def test_a_difference_is_said_for_what_it_proves(sample, difference, said):
    made = backtest(prepare(sample, SETTINGS.universe), SETTINGS)
    assert conclusion(difference, made, made, SETTINGS).startswith(said)


def test_signals_that_are_not_to_be_kept_are_refused_in_one_sentence(sample):
    off = breakout_settings(ml_data_collection={"enabled": False})
    with pytest.raises(
        BadParameters, match=r"`ml_data_collection\.enabled` must be true .* but is false: .* Set ml_data"
    ):
        schedule(sample, off)


def test_the_sharpe_ratio_s_interval_is_as_wide_as_lo_s_error_says():
    """Lo 2002 (doi:10.2469/faj.v58.n4.2453): variance (1 + SR²/2) / T for independent normal returns."""
    from bq.strategies.breakout import comparison

    rng = np.random.default_rng(2)
    made = backtest(prepare(random_market(3, count=300), SETTINGS.universe), SETTINGS)
    change = 0.001 + 0.01 * rng.standard_normal(4000)
    by_day = np.zeros((4001, 4))
    by_day[:, 0] = 1e6 * np.cumprod(np.concatenate([[1.0], 1.0 + change]))
    longer = dataclasses.replace(made, by_day=by_day, first=0, last=4000)
    varying = comparison._figures(longer).sharpe_ratio
    ratio = returns(by_day[:, 0]).mean() / returns(by_day[:, 0]).std(ddof=1)
    assert varying.mean() == pytest.approx(ratio * np.sqrt(252))
    assert varying.std() / np.sqrt(4000) == pytest.approx(np.sqrt(252 * (1 + ratio**2 / 2) / 4000), rel=0.05)


def _sections() -> dict:
    return {"risk": {"max_positions": 3}, "gate": {"draws": 1000}, "exit": {"max_holding_days": 10}}
