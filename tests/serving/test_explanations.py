"""Why a decision came out as it did: contributions that add up, and neighbours that are the nearest."""

import numpy as np
import polars as pl
import pytest
from toy_strategy import FEATURES, TOY, toy_events, toy_learning

from bq.learning import model
from bq.learning.model import Prediction
from bq.serving import explain, onnx
from bq.serving.decide import Champion, predict
from bq.strategies.events import REGIMES, FeatureSet, regime_columns
from tests import stored


@pytest.fixture(scope="module", params=["elastic_net", "lightgbm"])
def champion(request) -> Champion:
    """A small model of the toy events, as deployed."""
    closed = toy_events(sessions=50, symbols=6).drop_nulls("label")
    sample = model.Sample(
        FEATURES.matrix(closed),
        closed["label"].to_numpy(),
        closed["outcome"].to_numpy(),
        closed["weight"].to_numpy(),
        *TOY.table.cells(closed),
        closed.select("session", "t0", "t1_due"),
    )
    fitted = model.fit(request.param, sample, n_classes=3, learning=toy_learning())
    bundle = stored.artefact(features=FEATURES.name, classes=["Loss", "Small", "Good"]).bundle
    return Champion("m", bundle, onnx.Session(onnx.export(fitted)), FEATURES)


@pytest.fixture(scope="module")
def past() -> pl.DataFrame:
    return toy_events(sessions=50, symbols=6).drop_nulls("label")


@pytest.fixture(scope="module")
def today() -> pl.DataFrame:
    return toy_events(sessions=60, symbols=6, seed=3)[-6:]


def explained(champion, event, past, seed=7):
    return explain.contributions(champion, event, past, TOY, seed=seed)


@pytest.mark.parametrize("number", range(6), ids="event-{}".format)
def test_contributions_add_up_to_the_difference_from_past_events(champion, past, today, number):
    event = today[number]
    table = explained(champion, event, past)
    background = past.sample(explain.BACKGROUND, seed=7)
    in_its_cell = background.with_columns(
        kind=pl.lit(event["kind"].item(), pl.Int64), width=pl.lit(event["width"].item(), pl.Float32)
    )
    mine = predict(champion, event, TOY)["expected"].item()
    usual = predict(champion, in_its_cell, TOY)["expected"].mean()
    assert table["contribution"].sum() == pytest.approx(mine - usual, abs=2e-5)


def test_contributions_name_every_feature_once_with_its_value_largest_first(champion, past, today):
    event = today[0]
    table = explained(champion, event, past)
    assert sorted(table["feature"]) == sorted(FEATURES.columns)
    assert table["contribution"].abs().is_sorted(descending=True)
    for name, value in table.select("feature", "value").iter_rows():
        np.testing.assert_equal(np.float32(value), np.float32(event[name].item()))


def test_the_feature_that_carries_the_outcome_contributes_most(champion, past, today):
    strong = today[0].with_columns(signal=pl.lit(2.5, pl.Float32))
    weak = today[0].with_columns(signal=pl.lit(-2.5, pl.Float32))
    up, down = explained(champion, strong, past), explained(champion, weak, past)
    assert up["feature"][0] == down["feature"][0] == "signal"
    assert up["contribution"][0] > 0 > down["contribution"][0]


def test_a_missing_value_is_explained_too(champion, past, today):
    table = explained(champion, today[0].with_columns(gappy=pl.lit(None, pl.Float32)), past)
    assert table["contribution"].is_finite().all()
    assert table.filter(pl.col("feature") == "gappy")["value"].is_nan().all()


def test_an_explanation_is_the_same_each_time(champion, past, today):
    one, two = (explained(champion, today[0], past) for _ in range(2))
    assert one.equals(two)


# ---- neighbours


def by_hand(event: dict, past: pl.DataFrame, columns: tuple[str, ...]) -> list[tuple[float, str]]:
    """(distance, id) of every past event: shares of past values below each, the middle where one is missing."""

    def missing(value) -> bool:
        return value is None or value != value

    def rank(value, known: list[float]) -> float:
        return 0.5 if missing(value) else sum(other < value for other in known) / len(known)

    rows = past.to_dicts()
    known = {name: [row[name] for row in rows if not missing(row[name])] for name in columns}
    found = []
    for row in rows:
        gaps = [rank(row[name], known[name]) - rank(event[name], known[name]) for name in columns]
        found.append(((sum(gap**2 for gap in gaps) / len(gaps)) ** 0.5, row["event_id"]))
    return sorted(found)


@pytest.mark.parametrize("number", range(6), ids="event-{}".format)
def test_the_nearest_events_are_those_of_a_search_through_all(past, today, number):
    found = explain.nearest(today[number], past, FEATURES, count=5)
    expected = by_hand(today[number].to_dicts()[0], past, FEATURES.columns)[:5]
    assert found["event_id"].to_list() == [name for _, name in expected]
    np.testing.assert_allclose(found["distance"], [distance for distance, _ in expected], atol=1e-12)


def test_an_event_is_nearest_to_itself(past):
    found = explain.nearest(past[17], past, FEATURES, count=3)
    assert (found["event_id"][0], found["distance"][0]) == (past["event_id"][17], 0.0)


def test_nearness_does_not_depend_on_units_nor_on_the_order_of_the_past(past, today):
    scaled = [frame.with_columns(pl.col("signal") * 1000 + 5) for frame in (today[0], past)]
    shuffled = past.sample(fraction=1.0, shuffle=True, seed=4)
    ids = [
        explain.nearest(event, frame, FEATURES)["event_id"].to_list()
        for event, frame in ((today[0], past), scaled, (today[0], shuffled))
    ]
    assert ids[0] == ids[1] == ids[2] and len(ids[0]) == 8


def test_a_feature_that_no_past_event_has_changes_nothing(past, today):
    more = FeatureSet("more", (*FEATURES.columns, "new"))
    without = past.with_columns(new=pl.lit(None, pl.Float32))
    event = today[0].with_columns(new=pl.lit(None, pl.Float32))
    one, two = explain.nearest(event, without, more), explain.nearest(today[0], past, FEATURES)
    assert one["event_id"].to_list() == two["event_id"].to_list()


def test_fewer_past_events_than_asked_for_are_all_shown(past, today):
    assert len(explain.nearest(today[0], past[:3], FEATURES, count=8)) == 3


class ByTheLastFeature:
    """A graph that expects what the last column says."""

    def predict(self, x, category, size):
        return Prediction(np.zeros((len(x), 0), np.float32), x[:, -1])


def test_a_model_with_regime_columns_is_explained_by_them_too(past, today):
    rng = np.random.default_rng(7)
    bear, bull = regime_columns(2)
    known, event = (
        frame.with_columns(pl.Series(bear, 1 - chance), pl.Series(bull, chance))
        for frame, chance in ((past, rng.uniform(size=len(past))), (today[:1], np.array([0.9])))
    )
    name = f"{FEATURES.name}{REGIMES}2"
    model = Champion("m", stored.artefact(features=name, classes=[]).bundle, ByTheLastFeature(), TOY.feature_set(name))
    table = explained(model, event, known)
    assert table["feature"].to_list()[0] == bull and set(table["feature"]) == {*FEATURES.columns, bear, bull}
    assert table["contribution"][0] == pytest.approx(
        0.9 - known.sample(explain.BACKGROUND, seed=7)[bull].mean(), abs=1e-4
    )
