"""Who knows the law: the expected outcome of an event given the truth behind it and its features.

Learnt on other markets of the same law, many times as much data as the pipeline has, and then asked on a market that it
never saw. What its verdict is on a planted market is what any learner could reach there; the planted flag alone is not
it, as the same flag pays for one structure and not for another.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray

from bq.audit.calibration import Trained, collected, simulated, with_seed
from bq.core.log import progress
from bq.core.settings import Settings
from bq.learning import walkforward
from bq.market.sources.simulated import market_of
from bq.strategies.contract import Strategy

TRUTH = "truth_"
SHARE = 0.005  # of all events in a leaf, at least
EVENTS = 1_500_000  # that it learns from, as far as its markets have them: of fewer it does not know the law
LEAST = 6  # markets


class Learnt:
    """Answers in place of a candidate."""

    def __init__(self, strategy: Strategy, settings: Settings, seeds: Sequence[int]) -> None:
        """Learn from the markets of these seeds, or of the first of them that have `EVENTS` together."""
        self.strategy, self.settings = strategy, settings
        found = [self._market(seeds[0])]
        enough = seeds[1 : max(math.ceil(EVENTS / max(len(found[0][1]), 1)), LEAST)]
        found += map(self._market, progress(enough, total=len(enough), description="who knows the law"))
        x, y = np.vstack([inputs for inputs, _ in found]), pl.concat([known for _, known in found])
        classes = strategy.task(settings).classes
        shape: dict[str, Any] = {
            "n_estimators": 200,
            "learning_rate": 0.05,
            "num_leaves": 15,
            "min_child_samples": max(int(SHARE * len(y)), 20),
            "random_state": 0,
            "n_jobs": 1,
            "verbose": -1,
        }
        self._expected = LGBMRegressor(**shape).fit(x, y["outcome" if classes else "label"].to_numpy())
        self._class = LGBMClassifier(**shape).fit(x, y["label"].to_numpy()) if classes else None

    def __call__(self, trained: Trained, predictions: pl.DataFrame) -> pl.DataFrame:
        """The predictions of a candidate with this one's in their place."""
        events = predictions.select("event_id").join(
            trained.place.events, on="event_id", how="left", maintain_order="left"
        )
        x = self.inputs(events, trained.place.seed)
        answer = predictions.with_columns(expected=pl.Series(self._expected.predict(x), dtype=pl.Float32))
        if self._class is None:
            return answer
        shares = np.zeros((len(x), len(self.strategy.task(self.settings).classes)), np.float32)
        shares[:, self._class.classes_] = self._class.predict_proba(x)
        names = self.strategy.task(self.settings).classes
        return answer.with_columns(
            pl.Series("predicted", shares.argmax(axis=1)),
            **{f"p_{name}": pl.Series(shares[:, place]) for place, name in enumerate(names)},
        )

    def _market(self, seed: int) -> tuple[NDArray[np.float32], pl.DataFrame]:
        """Inputs and outcomes of the events of a market."""
        whole = collected(self.strategy, self.settings, simulated(self.settings, seed))
        events = walkforward.matured_events(whole, self.strategy.task(self.settings))
        return self.inputs(events, seed), events.select("label", "outcome")

    def inputs(self, events: pl.DataFrame, seed: int) -> NDArray[np.float32]:
        """Features, rule score and truth of events, shape (n_events, n_inputs)."""
        truth = truth_of(with_seed(self.settings, seed))
        names = [name for name in truth.columns if name.startswith(TRUTH)]
        whole = events.join(truth, on=["session", "symbol"], how="left", maintain_order="left")
        features = self.strategy.features(self.settings).matrix(whole)
        return np.column_stack([features, whole.select(pl.col("score", *names).cast(pl.Float32)).to_numpy()])


def truth_of(settings: Settings) -> pl.DataFrame:
    """What is known at each session's close of each symbol to who knows the law: session, symbol, `truth_…`."""
    days, made = market_of(settings.market)
    count = len(made.names)
    frame = pl.DataFrame({"session": days}).select(pl.col("session").repeat_by(count).explode())
    return frame.with_columns(
        pl.Series("symbol", made.names * len(days)),
        **{f"{TRUTH}{name}": pl.Series(values.ravel()) for name, values in made.truth.items()},
    )
