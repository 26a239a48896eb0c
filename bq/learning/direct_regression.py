"""The outcome predicted by a regression, for comparison with class probabilities × class means."""

import polars as pl

from bq.core.settings import Settings
from bq.learning import layers, splits
from bq.learning.layers import REGRESSION
from bq.learning.sample import Preparation
from bq.learning.walkforward import matured_events, sample
from bq.strategies.contract import Strategy


def direct(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """Out-of-sample outcome by gradient-boosted regression on the folds of the settings: event_id, direct.

    Clipping, imputation and trees are fitted on each fold's training events alone.
    """
    learning = settings.learning
    matured = matured_events(events, strategy.task(settings))
    data = sample(matured, strategy, strategy.features(settings))
    parts = []
    for fold in splits.purged_walk_forward(matured, learning):
        train, test = data.rows(fold.train), data.rows(fold.test)
        preparation = Preparation.of(train, learning)
        model = layers.make("lightgbm", REGRESSION, learning)
        layers.fit(model, preparation.apply(train.x), train.outcome, train.weight)
        predicted = layers.predict(model, preparation.apply(test.x), REGRESSION)[:, 0]
        parts.append(matured[fold.test].select("event_id").with_columns(direct=pl.Series(predicted)))
    return pl.concat(parts)
