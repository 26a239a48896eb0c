"""The outcome predicted directly, for comparison with class probabilities × class means."""

import numpy as np
import polars as pl

from bq.core.settings import Settings
from bq.learning import splits
from bq.learning.model import Bounds
from bq.learning.walkforward import sample
from bq.strategies.contract import Strategy, matured


def direct(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """Out-of-sample outcome by gradient-boosted regression on the folds of the settings: event_id, direct.

    Clipping, imputation and trees are fitted on each fold's training events alone.
    """
    from lightgbm import LGBMRegressor

    ripe = matured(events, cut=events["t1"].max())
    data = sample(ripe, strategy, strategy.features(settings))
    parts = []
    for fold in splits.purged_walk_forward(ripe, settings.learning):
        train, test = data.rows(fold.train), data.rows(fold.test)
        bounds = Bounds.of(train.x)
        model = LGBMRegressor(
            n_estimators=150,
            learning_rate=0.03,
            num_leaves=7,
            min_child_samples=60,
            reg_lambda=10.0,
            random_state=settings.learning.seed,
            n_jobs=1,
            verbose=-1,
        )
        model.fit(bounds.apply(train.x), train.outcome, sample_weight=train.weight)
        predicted = np.asarray(model.predict(bounds.apply(test.x)))
        parts.append(ripe[fold.test].select("event_id").with_columns(direct=pl.Series(predicted)))
    return pl.concat(parts)
