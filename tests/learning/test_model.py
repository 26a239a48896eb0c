"""The fitted model: bounds, class means, temperature, and what it makes of bad input."""

import numpy as np
import pytest
from toy_strategy import toy_events, toy_learning, toy_sample

from bq.core.errors import BadData
from bq.learning import layers, model
from bq.learning.layers import CLASSIFICATION
from bq.learning.model import SHRINKAGE, Bounds, ClassMeans, Sample
from bq.serving import onnx

NAMES = layers.names(CLASSIFICATION)
NAN, INF = np.nan, np.inf


def fit(name: str, sample: Sample, *, n_classes: int = 3, **learning: object) -> model.FittedModel:
    return model.fit(name, sample, n_classes=n_classes, learning=toy_learning(**learning))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return toy_sample()


@pytest.fixture(scope="module", params=NAMES)
def fitted(request, sample) -> model.FittedModel:
    return fit(request.param, sample)


def test_bounds_are_those_of_the_finite_values():
    x = np.float32([[1, NAN, INF], [3, NAN, 2], [2, NAN, -INF], [10, NAN, 4]])
    bounds = Bounds.of(x)
    assert bounds.low.tolist() == [1, 0, 2]
    assert bounds.high.tolist() == [10, 0, 4]
    assert bounds.median.tolist() == [2.5, 0, 3]
    assert x[0, 2] == INF, "the input stays as it is"


def test_infinities_and_extremes_become_the_bound_and_missing_the_median():
    bounds = Bounds.of(np.float32([[1, -1], [3, -1], [2, -1]]))
    ready = bounds.apply(np.float32([[INF, INF], [-INF, -3.4e38], [NAN, NAN], [2.5, 7]]))
    assert ready.tolist() == [[3, -1], [1, -1], [2, -1], [2.5, -1]]
    assert ready.dtype == np.float32


def class_means_by_hand(s: Sample, category: int, tercile: int, label: int) -> float:
    """Mean outcome of one class in one cell with the pooled mean counted as `SHRINKAGE` average events."""
    inside = np.flatnonzero(s.category == category)
    low, high = np.float32(np.quantile(s.size[inside], [1 / 3, 2 / 3]))
    total = mass = pool = pool_mass = 0.0
    for i in range(len(s.label)):
        if s.label[i] != label:
            continue
        pool, pool_mass = pool + s.weight[i] * s.outcome[i], pool_mass + s.weight[i]
        if s.category[i] == category and int(s.size[i] > low) + int(s.size[i] > high) == tercile:
            total, mass = total + s.weight[i] * s.outcome[i], mass + s.weight[i]
    prior = SHRINKAGE * float(np.mean(s.weight))
    return (total + prior * pool / pool_mass) / (mass + prior)


def test_class_means_are_the_weighted_means_shrunk_to_the_pool(sample):
    means = ClassMeans.of(sample, 3)
    for category in range(2):
        for tercile in range(3):
            expected = [class_means_by_hand(sample, category, tercile, label) for label in range(3)]
            assert means.means[3 * category + tercile] == pytest.approx(expected, abs=1e-6)


def test_a_category_that_training_did_not_have_gets_the_pooled_means(sample):
    means = ClassMeans.of(sample, 3)
    pooled = [np.average(sample.outcome[sample.label == c], weights=sample.weight[sample.label == c]) for c in range(3)]
    for category in (2, 9):
        answer = means.of_events(np.array([category]), np.float32([1.0]))
        assert answer[0] == pytest.approx(pooled, abs=1e-6)


def test_an_unknown_size_falls_into_the_first_tercile(sample):
    means = ClassMeans.of(sample, 3)
    assert (means.of_events(np.array([1]), np.float32([NAN]))[0] == means.means[3]).all()


def test_expected_outcome_is_the_probability_weighted_class_mean(fitted, sample):
    answer = fitted.predict(sample.x, sample.category, sample.size)
    by_hand = (answer.probabilities * fitted.class_means.of_events(sample.category, sample.size)).sum(axis=1)
    assert answer.expected == pytest.approx(by_hand, abs=1e-7)
    assert answer.probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    assert answer.probabilities.dtype == answer.expected.dtype == np.float32


def test_temperature_is_the_best_for_the_calibration_rows(fitted, sample):
    first, second = (sample.rows(rows) for rows in model.calibration_split(sample.events, 0.2))
    bounds = Bounds.of(first.x)
    trial = layers.make(fitted.name, CLASSIFICATION, toy_learning())
    layers.fit(trial, bounds.apply(first.x), first.label, first.weight)
    raw = trial.predict_proba(bounds.apply(second.x))

    def loss(temperature: float) -> float:
        powers = raw ** (1.0 / temperature)
        chosen = (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(raw)), second.label]
        return float(-np.average(np.log(chosen), weights=second.weight))

    assert loss(fitted.temperature) <= loss(1.0) + 1e-8
    assert loss(fitted.temperature) <= min(map(loss, np.geomspace(0.25, 10, 60))) + 1e-6


def test_prior_is_the_weighted_class_frequency_of_training(fitted, sample):
    expected = [sample.weight[sample.label == c].sum() / sample.weight.sum() for c in range(3)]
    assert fitted.prior == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", [NAN, INF, -INF, 3.4e38, -3.4e38], ids=str)
def test_any_input_gets_a_finite_answer(fitted, sample, value):
    x = np.full((3, sample.x.shape[1]), value, np.float32)
    answer = fitted.predict(x, np.zeros(3, np.int64), np.ones(3, np.float32))
    assert np.isfinite(answer.probabilities).all()
    assert np.isfinite(answer.expected).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_that_is_missing_everywhere_changes_no_answer(name):
    sample = toy_sample()
    x = sample.x.copy()
    x[:, 3] = NAN
    fitted = fit(name, sample._replace(x=x))
    before = fitted.predict(x[:50], sample.category[:50], sample.size[:50])
    x[:, 3] = 5.0
    after = fitted.predict(x[:50], sample.category[:50], sample.size[:50])
    assert np.array_equal(before.expected, after.expected)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        pytest.param(slice(0, 400), "the part before calibration", id="nowhere"),
        pytest.param(slice(0, 316), "the part before calibration", id="only-in-calibration"),
    ],
)
def test_a_class_without_events_is_refused_by_name(sample, rows, what):
    label = sample.label.copy()
    label[rows] = np.where(label[rows] == 2, 1, label[rows])
    with pytest.raises(BadData, match=rf"{what} must hold events of every class, but has none of class \[2\]"):
        fit("elastic_net", sample._replace(label=label))


def test_a_class_that_is_absent_only_from_calibration_is_no_obstacle(sample):
    label = sample.label.copy()
    label[320:] = np.where(label[320:] == 2, 1, label[320:])
    assert fit("elastic_net", sample._replace(label=label)).temperature > 0


@pytest.mark.parametrize("name", NAMES)
def test_same_inputs_give_the_same_model(name, sample):
    assert onnx.export(fit(name, sample)) == onnx.export(fit(name, toy_sample()))


def test_lightgbm_thresholds_are_float32_and_change_no_prediction(sample):
    ready = Bounds.of(sample.x).apply(sample.x)
    exact = layers.make("lightgbm", CLASSIFICATION, toy_learning()).fit(
        ready, sample.label, sample_weight=sample.weight
    )
    ours = layers.make("lightgbm", CLASSIFICATION, toy_learning())
    layers.fit(ours, ready, sample.label, sample.weight)
    thresholds = ours.booster_.trees_to_dataframe()["threshold"].dropna().astype(float).to_numpy()
    assert len(thresholds) > 100
    assert (thresholds == thresholds.astype(np.float32)).all()
    before = exact.booster_.trees_to_dataframe()["threshold"].dropna().astype(float).to_numpy()
    rounded_down = np.nextafter(np.float32(thresholds), np.float32(INF)).astype(float) > before
    assert (thresholds <= before).all()
    assert (rounded_down | (before == -layers.ZERO)).all()
    on = ready[np.random.default_rng(0).integers(len(ready), size=len(thresholds))]
    on[:, 0] = thresholds.astype(np.float32)
    for rows in (ready, on):
        assert np.array_equal(exact.predict_proba(rows), ours.predict_proba(rows))


@pytest.mark.parametrize("value", [-1e-35, -1e-36, 0.0, 1e-36, 1e-35], ids=str)
def test_a_float32_comparison_puts_what_lightgbm_reads_as_zero_on_the_side_of_zero(value):
    x, y = np.repeat(np.float32([-1, 0, 1, 2]), 100)[:, None], np.repeat([0, 1, 2, 2], 100)
    fitted = layers.fit(layers.make("lightgbm", CLASSIFICATION, toy_learning()), x, y, np.ones(400, np.float32))
    thresholds = fitted.booster_.trees_to_dataframe()["threshold"].dropna().astype(float).unique()
    assert (np.abs(thresholds) < 1e-34).any(), "LightGBM splits zeros off"
    assert ((np.float32(value) <= np.float32(thresholds)) == (thresholds >= 0.0)).all()
    assert np.array_equal(fitted.predict_proba(np.float32([[value]])), fitted.predict_proba(np.float32([[0.0]])))


def test_the_threshold_is_the_probability_above_which_most_was_earned(sample):
    probability = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    outcome = np.array([1.0, -0.2, 0.5, -0.4, 0.1])
    parts = sample.rows(np.arange(5))._replace(outcome=outcome, weight=np.ones(5, np.float32))
    assert model._threshold(probability, parts) == np.float32(0.7)
    assert model._threshold(probability, parts._replace(outcome=-np.abs(outcome))) == 1.0, "trading none was best"


def test_equal_probabilities_are_traded_together_or_not_at_all(sample):
    """A threshold between equal probabilities would claim what no rule can earn."""
    probability = np.array([0.9, 0.6, 0.6, 0.3])
    parts = sample.rows(np.arange(4))._replace(outcome=np.array([0.2, 1.0, -3.0, 0.1]), weight=np.ones(4, np.float32))
    assert model._threshold(probability, parts) == np.float32(0.9)


def test_the_calibration_part_is_the_newest_share_and_is_purged_from_the_first():
    events = toy_events().head(300)
    first, second = model.calibration_split(events, 0.2)
    start = events["t0"][int(second[0])]
    assert second.tolist() == list(range(int(second[0]), 300))
    assert 0.2 <= len(second) / 300 < 0.2 + 6 / 300
    assert first.tolist() == np.flatnonzero((events["t1_due"] < start).to_numpy()).tolist()


def test_a_calibration_part_that_leaves_nothing_is_refused():
    events = toy_events(sessions=2)
    with pytest.raises(BadData, match=r"must end before the calibration part starts .*Use longer windows"):
        model.calibration_split(events, 0.2)
