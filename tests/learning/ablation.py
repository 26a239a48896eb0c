"""Where the skill of the forecast goes, stage by stage, on planted panels: `python -m tests.learning.ablation`.

Estimand of each stage: the mean over out-of-sample sessions of the rank correlation, within a session, of its forecast
with the oracle's expected return. It is the share of the oracle's rank IC that the forecast keeps, free of the noise of
outcomes: what chance then leaves is that of training, and markets (seeds) are the independent observations. Beside it
stands the rank IC with the outcomes themselves.

The reference is a regression that is told which three terms there are, as the factors show them: turnover, turnover ×
range, and range × (P(bull) − P(bear)). It has no penalty, three coefficients, and the same walk-forward windows.
Its label is the plain z-score of a return: there is no factor that it could take for another.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq import market, strategies
from bq.core import params, paths
from bq.core.settings import Learning, Selection, Stack
from bq.learning import splits, walkforward
from bq.simulate.panel import panel_market
from bq.stats.rank_ic import rank_ic
from bq.strategies import store
from bq.strategies.forecast.settings import ForecastSettings
from bq.strategies.task import Task

FORECAST = strategies.get("forecast")
PARAMETERS = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
SEEDS = tuple(range(301, 309))  # of the markets of the figure that is claimed
GIVEN = "a regression that is given the terms"
SHIPPED, OLDER = "the stack, as it ships", "the stack of version 0.1"
FREE = {"hyperparameters": {"factor_weights": {"strength": 1e-4, "ridge": 1e-3}}}
Forecast = NDArray[np.float64]


class Size(NamedTuple):
    """What a market is like."""

    oracle_ic: float = 0.05
    symbols: int = 60
    sessions: int = 2500


class Planted(NamedTuple):
    """The matured events of a market with the oracle's forecast of each, and the folds they are tried in."""

    known: pl.DataFrame  # with `oracle`
    folds: list[splits.Fold]
    settings: ForecastSettings


class Stage(NamedTuple):
    """A way of forecasting: changes of the settings and a model's name, and what is learned."""

    name: str
    overrides: str
    changes: Mapping[str, object]
    task: Task | None = None  # None: the strategy's own


BEFORE = {  # the recipe of version 0.1
    "half_life_days": 365.0,
    "hyperparameters": {"xgboost": {"n_estimators": 100}, "lightgbm": {"n_estimators": 100}},
    "select": Selection(max_correlation=0.9),
    "stack": Stack(),
}
PLAIN = Task(outcome="return")
STAGES = (
    Stage("all factors without a penalty", "", {"model": "factor_weights", **FREE}),
    Stage("elastic net of a fixed penalty", "", {"model": "elastic_net"}),
    Stage("factor weights", "", {"model": "factor_weights"}),
    Stage("factor weights, of twins the better alone", "", {"model": "factor_weights", "select": BEFORE["select"]}),
    Stage("factor weights, every tenth session", "events.every_sessions=10", {"model": "factor_weights"}),
    Stage("factor weights, half-life of a year", "", {"model": "factor_weights", "half_life_days": 365.0}),
    Stage("factor weights, of plain z-scores", "", {"model": "factor_weights"}, PLAIN),
    Stage("lightgbm", "", {"model": "lightgbm"}),
    Stage("xgboost", "", {"model": "xgboost"}),
    Stage("lightgbm of version 0.1", "", {"model": "lightgbm", "hyperparameters": BEFORE["hyperparameters"]}),
    Stage(SHIPPED, "", {}),
    Stage("the stack, of plain z-scores", "", {}, PLAIN),
    Stage(OLDER, "", BEFORE, PLAIN),
)


def planted(size: Size, seed: int, overrides: str = "") -> Planted:
    """The events of the shipped simulated parameters on a market of that size, which may hold four folds, not six."""
    plan = f"market.simulation.symbols={size.symbols} market.simulation.sessions={size.sessions}"
    own = f"{plan} market.simulation.oracle_ic={size.oracle_ic} market.simulation.seed={seed}"
    own += " learning.compare=[] learning.folds=4 learning.newest_days=183"
    settings = params.load(PARAMETERS, FORECAST.settings, overrides=f"{own} {overrides}")
    data = market.load(settings.market)
    built = FORECAST.table.build(data, settings, FORECAST.table.schedule(data, settings))
    events = store.finished(FORECAST, settings, data, built, 0).events
    made = panel_market(sessions=size.sessions, symbols=size.symbols, oracle_ic=size.oracle_ic, seed=seed)
    names = [f"SIM{i:02d}" for i in range(size.symbols)]
    days = data.bars["session"].unique().sort()
    truth = (
        pl.DataFrame(made.expected, schema=names)
        .with_columns(session=days)
        .unpivot(index="session", variable_name="symbol", value_name="oracle")
    )
    known = walkforward.matured_events(events, FORECAST.task(settings)).join(
        truth, on=["session", "symbol"], how="left", maintain_order="left"
    )
    return Planted(known, splits.purged_walk_forward(known, settings.learning), settings)


def told(p: Planted) -> Callable[[splits.Fold], Forecast]:
    """The regression that is given the terms."""
    known = p.known.with_columns(pl.col("^regime_.*$").fill_null(1.0 / 3.0))
    turnover, reach, bull, bear = (
        known[name].to_numpy().astype(float)
        for name in ("dollar_vol_20_rank", "atr_pct_14_rank", "regime_bull", "regime_bear")
    )
    terms = np.column_stack([np.ones(len(known)), turnover, turnover * reach, reach * (bull - bear)])
    label = _label(known, PLAIN)

    def forecast(fold: splits.Fold) -> Forecast:
        found = np.linalg.lstsq(terms[fold.train], label[fold.train], rcond=None)[0]
        return terms[fold.test] @ found

    return forecast


def learnt(p: Planted, stage: Stage) -> Callable[[splits.Fold], Forecast]:
    """The model of a stage."""
    learning: Learning = p.settings.learning.model_copy(update=dict(stage.changes))
    data = walkforward.sample(p.known, FORECAST, FORECAST.features(p.settings))
    if stage.task:
        data = data._replace(label=_label(p.known, stage.task))

    def forecast(fold: splits.Fold) -> Forecast:
        job = (learning.model, fold.train, fold.test)
        return walkforward.fit_and_predict(job, data=data, learning=learning, n_classes=0).prediction.expected

    return forecast


def _label(known: pl.DataFrame, task: Task) -> Forecast:
    return known.select(task.label(pl.col("outcome"))).to_series().to_numpy()


def judged(p: Planted, forecast: Callable[[splits.Fold], Forecast]) -> dict[str, float]:
    """Share of the oracle's rank IC, the rank IC itself, the oracle's, and how many sessions they are of."""
    parts = [
        p.known[fold.test]
        .select("session", "outcome", "oracle")
        .with_columns(said=pl.Series(forecast(fold), dtype=pl.Float64))
        for fold in p.folds
    ]
    oos = pl.concat(parts)
    shares = oos.group_by("session").agg(share=pl.corr("said", "oracle", method="spearman"))["share"].fill_nan(0.0)
    return {
        "share": shares.mean(),
        "ic": rank_ic(oos, by="said")["ic"].mean(),
        "oracle_ic": rank_ic(oos, by="oracle")["ic"].mean(),
        "sessions": len(shares),
    }


def ablation(size: Size, seeds: Sequence[int], stages: Sequence[Stage] = STAGES) -> pl.DataFrame:
    """A row for each market and stage, the regression that is given the terms first: seed, stage, and `judged`."""
    rows = []
    for seed in seeds:
        markets = {
            wanted: planted(size, seed, wanted) for wanted in dict.fromkeys(["", *(s.overrides for s in stages)])
        }
        rows.append({"seed": seed, "stage": GIVEN, **judged(markets[""], told(markets[""]))})
        for stage in stages:
            p = markets[stage.overrides]
            rows.append({"seed": seed, "stage": stage.name, **judged(p, learnt(p, stage))})
    return pl.DataFrame(rows)


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Means over markets: stage, share with its standard error, of_given (share over that of the regression that is
    given the terms) with the standard error of a ratio of means, rank IC, the oracle's, sessions a market, markets."""
    given = rows.filter(pl.col("stage") == GIVEN).select("seed", given="share")
    of_given = pl.col("share").mean() / pl.col("given").mean()
    left = pl.col("share") - of_given * pl.col("given")
    return (
        rows.join(given, on="seed", how="left", maintain_order="left")
        .group_by("stage", maintain_order=True)
        .agg(
            share=pl.col("share").mean(),
            error=pl.col("share").std() / pl.len().sqrt(),
            of_given=of_given,
            of_given_error=left.std() / pl.len().sqrt() / pl.col("given").mean(),
            ic=pl.col("ic").mean(),
            oracle_ic=pl.col("oracle_ic").mean(),
            sessions=pl.col("sessions").mean().cast(pl.Int64),
            markets=pl.len(),
        )
    )


if __name__ == "__main__":
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, fmt_str_lengths=60, float_precision=3):
        print(summary(ablation(Size(), SEEDS)))
