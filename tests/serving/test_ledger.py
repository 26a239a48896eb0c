"""What was tried is remembered, and what is chosen is judged against it."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq.core.errors import BadData
from bq.serving import ledger
from bq.serving.ledger import GATE, Trial

FIRST = dt.date(2015, 1, 2)


def series(values, *, first: dt.date = FIRST) -> pl.DataFrame:
    """Weekly sessions with these values."""
    days = [first + dt.timedelta(weeks=i) for i in range(len(values))]
    return pl.DataFrame({"session": days, "value": pl.Series(values, dtype=pl.Float64)})


def noise(seed: int, *, mean: float = 0.0, n: int = 250) -> np.ndarray:
    return mean + 0.1 * np.random.default_rng(seed).standard_normal(n)


def trial(seed: int, *, kind: str = "strategy", number: int = 0, study: str = "s") -> Trial:
    return Trial(kind, study, number, {"seed": seed}, series(noise(seed)))


def alone(own: pl.DataFrame) -> pl.DataFrame:
    return own.select("session")


def test_a_trial_is_read_as_it_was_written(home):
    gappy = series([0.1, None, -0.2, 0.3])
    ledger.record("toy", [Trial("model", "study", 3, {"a": 1}, gappy)])
    found = ledger.on("toy", gappy["session"])
    assert found.rename({"model/study/3": "value"}).equals(gappy, null_equal=True)


def test_a_trial_recorded_twice_is_one(home):
    ledger.record("toy", [trial(0), trial(1, number=1)])
    ledger.record("toy", [trial(2)])
    found = ledger.on("toy", trial(0).series["session"])
    assert found.columns == ["session", "strategy/s/1", "strategy/s/0"]
    assert found["strategy/s/0"].to_list() == noise(2).tolist(), "the newer one"


def test_trials_of_another_shelf_or_of_other_times_do_not_count(home):
    ledger.record("other", [trial(0)])
    ledger.record("toy", [trial(1)._replace(series=series(noise(1), first=dt.date(1990, 1, 5)))])
    assert ledger.on("toy", trial(0).series["session"]).columns == ["session"]


def test_alone_nothing_is_deflated():
    own = series(noise(1, mean=0.02))
    found = ledger.deflate(own, alone(own), least=0.95)
    assert found.trials == 1.0
    assert found.probability == pytest.approx(found.undeflated, abs=1e-9)
    values = own["value"].to_numpy()
    assert found.sharpe == pytest.approx(values.mean() / values.std(ddof=1))


def test_the_same_result_proves_less_the_more_was_tried(home):
    own = series(noise(1, mean=0.02))
    ledger.record("toy", [trial(seed, number=seed) for seed in range(2, 42)])
    few, many = ledger.on("toy", own["session"]).select(pl.nth(range(4))), ledger.on("toy", own["session"])
    found = [ledger.deflate(own, trials, least=0.95) for trials in (alone(own), few, many)]
    assert [one.trials for one in found] == [1.0, 4.0, 41.0]
    assert found[0].probability > found[1].probability > found[2].probability
    assert len({one.undeflated for one in found}) == 1


def test_copies_of_a_trial_count_once_but_each_gate_attempt_by_itself(home):
    own = series(noise(1, mean=0.02))
    twins = [Trial("strategy", "s", i, {}, own) for i in range(5)]
    ledger.record("toy", twins)
    assert ledger.deflate(own, ledger.on("toy", own["session"]), least=0.95).trials == 1.0
    ledger.record("toy", [Trial(GATE, f"run{i}", 0, {}, own) for i in range(5)])
    assert ledger.deflate(own, ledger.on("toy", own["session"]), least=0.95).trials == 6.0


def test_the_best_of_fifty_useless_trials_is_not_taken_for_skill(home):
    chosen = []
    for start in range(0, 1000, 50):
        tried = {seed: noise(seed, n=120) for seed in range(start, start + 50)}
        best = max(tried, key=lambda seed: tried[seed].mean() / tried[seed].std())
        whole = series(tried[best])
        for seed, values in tried.items():
            whole = whole.with_columns(pl.Series(f"strategy/s/{seed}", values))
        own, trials = whole.select("session", "value"), whole.drop("value")
        found = ledger.deflate(own, trials, least=0.95)
        assert found.undeflated > 0.9, "without the ledger it would look like skill"
        chosen.append(found.probability >= 0.95)
    assert sum(chosen) <= 4


def test_the_sessions_needed_are_those_of_the_published_minimum_track_record(home):
    """Bailey & López de Prado 2012: 1 + (1 − γ₃ SR + (γ₄ − 1)/4 SR²) (z / SR)²."""
    own = series(noise(1, mean=0.03))
    found = ledger.deflate(own, alone(own), least=0.95)
    values = own["value"].to_numpy()
    z, ratio = (values - values.mean()) / values.std(), values.mean() / values.std(ddof=1)
    variance = 1 - (z**3).mean() * ratio + ((z**4).mean() - 1) / 4 * ratio**2
    published = 1 + variance * (1.6448536 / ratio) ** 2
    assert found.needed >= published - 1e-6, "the longer of the published figure and its revision"
    assert published / 2 < found.needed < 4 * published
    losing = series(noise(1, mean=-0.05))
    assert ledger.deflate(losing, alone(losing), least=0.95).needed == float("inf")


def test_a_series_that_never_varies_has_no_ratio():
    flat = series([0.0] * 30)
    with pytest.raises(BadData, match="must vary"):
        ledger.deflate(flat, alone(flat), least=0.95)
