"""The area under the ROC curve, session by session."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bq.learning.auc import auc_by_session
from bq.stats.bootstrap import bootstrap_mean


def predictions(said, won, day) -> pl.DataFrame:
    sessions = [dt.date(2020, 1, 1) + dt.timedelta(days=int(number)) for number in day]
    return pl.DataFrame({"session": sessions, "p": said, "label": won})


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 9)), min_size=2, max_size=60).filter(
        lambda rows: len({row[1] for row in rows}) == 2
    )
)
def test_the_mean_over_sessions_is_the_area_of_scikit_learn(rows):
    said, won, day = (np.array(part) for part in zip(*rows, strict=True))
    found = auc_by_session(predictions(said.astype(float), won.astype(int), day), by="p")
    assert found["auc"].mean() == pytest.approx(roc_auc_score(won, said))
    assert found["session"].is_sorted() and len(found) == len(set(day))


def test_one_label_alone_has_no_area():
    found = auc_by_session(predictions([0.1, 0.2], [1, 1], [0, 1]), by="p")
    assert found["auc"].is_nan().all()


def test_the_resampled_mean_varies_as_the_area_does():
    """Against Hanley & McNeil 1982 (doi:10.1148/radiology.143.1.7063747), whose error holds for independent events."""
    rng = np.random.default_rng(3)
    n = 2000
    won = rng.random(n) < 0.5
    said = rng.standard_normal(n) + 0.8 * won
    found = auc_by_session(predictions(said, won.astype(int), np.arange(n)), by="p")["auc"].to_numpy()
    interval = bootstrap_mean(found, block=1.0, alpha=0.025, draws=4000, seed=1)
    area, wins, losses = roc_auc_score(won, said), won.sum(), (~won).sum()
    more = (wins - 1) * (area / (2 - area) - area**2) + (losses - 1) * (2 * area**2 / (1 + area) - area**2)
    error = np.sqrt((area * (1 - area) + more) / (wins * losses))
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.08)
