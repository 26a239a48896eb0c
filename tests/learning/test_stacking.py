"""The stack: what reaches its meta-learner, what it finds, and how it goes on where a part of it fails."""

import os

import numpy as np
import pytest
from planted_panel import MOSTLY_LINEAR, STATES, Panel, learning, panel, rank_ic
from scipy.optimize import minimize
from scipy.stats import binom, t

from bq.core.errors import BadData
from bq.learning import layers, model, regime_layer, splits, stacking
from bq.learning.layers import CLASSIFICATION, REGRESSION, Layer
from bq.learning.sample import Bounds, Sample
from bq.serving import onnx
from bq.stats.blocks import Blocks, block_length

SMALL = {"models": ["elastic_net", "lightgbm"], "regime_model": "elastic_net"}


@pytest.fixture(scope="module")
def small() -> Panel:
    return panel(symbols=10, sessions=200)


def halves(found: Panel) -> tuple[Sample, Sample, np.ndarray]:
    """The earlier 70% of sessions, the later rest, and the oracle of the rest."""
    cut = (
        int(found.sample.events["session"].n_unique() * 0.7) * found.sample.events["session"].value_counts()["count"][0]
    )
    rows = np.arange(len(found.oracle))
    return found.sample.rows(rows[:cut]), found.sample.rows(rows[cut:]), found.oracle[cut:]


def fit(sample: Sample, *, n_classes: int = 0, **changes: object) -> model.FittedModel:
    return model.fit("stack", sample, n_classes=n_classes, learning=learning(**changes))


def said(fitted: model.FittedModel, rows: Sample) -> np.ndarray:
    return fitted.predict(rows.x, rows.category, rows.size).expected


def classed(sample: Sample, n_classes: int) -> Sample:
    edges = {2: [0.0], 3: [-0.5, 0.5]}[n_classes]
    return sample._replace(label=np.digitize(sample.label, edges).astype(np.int64))


class Remembering:
    """A regression on the first feature that answers absurdly to every row that it was fitted on."""

    def __init__(self, absurd: float | None) -> None:
        self.absurd = absurd

    def get_params(self) -> dict:
        return {}

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> "Remembering":
        self.slope = float(np.average(x[:, 0] * y, weights=sample_weight))
        self.seen = {row.tobytes() for row in x}
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        known = np.array([row.tobytes() in self.seen for row in x])
        plain = (self.slope * x[:, 0]).astype(np.float64)
        return plain if self.absurd is None else np.where(known, self.absurd, plain)


@pytest.mark.parametrize("absurd", [1e6, 0.0], ids=["huge", "zero"])
def test_no_in_sample_prediction_reaches_the_meta_learner(small, monkeypatch, absurd):
    """What a base model says of the rows that it was fitted on changes nothing in the stack."""
    train, test, _ = halves(small)
    stack = {"models": ["elastic_net", "remembering"]}
    answers = []
    for poison in (None, absurd):
        made = Layer(lambda seed, poison=poison: Remembering(poison), {})
        monkeypatch.setitem(layers.LAYERS, ("remembering", REGRESSION), made)
        fitted = fit(train, stack=stack)
        assert "remembering" in fitted.base.bases
        answers.append(said(fitted, test))
    assert np.array_equal(*answers)


def test_the_meta_learner_is_taught_by_purged_events_alone(small, monkeypatch):
    """Every inner fold's training events end before its test events begin."""
    train, _, _ = halves(small)
    seen, plain = [], splits.purged_walk_forward

    def recorded(events, settings):
        seen.append((events, plain(events, settings)))
        return seen[-1][1]

    monkeypatch.setattr(splits, "purged_walk_forward", recorded)
    fit(train, stack=SMALL)
    ((events, folds),) = seen
    assert len(folds) == 2
    for fold in folds:
        assert events["t1_due"].gather(fold.train).max() < events["t0"].gather(fold.test).min()
        assert events["t0"].gather(fold.test).max() <= train.events["t0"].max()


def test_the_meta_learner_forgets_what_is_older_than_ten_half_lives(small, monkeypatch):
    """It is taught with the weights of the layers below it: the newest inner events, halved for every half-life."""
    train, _, _ = halves(small)
    seen, plain = [], stacking._meta

    def recorded(stack, inner, settings):
        seen.append(inner)
        return plain(stack, inner, settings)

    monkeypatch.setattr(stacking, "_meta", recorded)
    fit(train, stack=SMALL, half_life_days=20.0)
    fit(train, stack=SMALL)
    short, whole = seen
    age = (whole.sample.events["t0"].max() - whole.sample.events["t0"]).dt.total_days().to_numpy()
    recent = age <= 200
    assert 0 < recent.sum() == len(short.sample.label) < len(recent)
    assert np.array_equal(short.sample.label, whole.sample.label[recent])
    assert np.array_equal(short.regimes, whole.regimes[recent])
    assert {len(said) for said in short.columns.values()} == {recent.sum()}
    decay = short.sample.weight / short.sample.weight[-1]
    assert decay == pytest.approx(0.5 ** (age[recent] / 20.0), rel=1e-4)


def test_the_stack_does_not_lose_to_the_equally_weighted_average():
    """Mean over seeds of small noisy panels, within a tenth of the average's rank IC on each."""
    ahead, level = [], []
    for seed in range(4):
        train, test, _ = halves(panel(symbols=30, sessions=200, ic=0.1, seed=seed, parts=MOSTLY_LINEAR))
        fitted = fit(train, stack={**SMALL, "min_regime_dates": 20})
        answer, layer = fitted.by_layer(test.x, test.category, test.size)
        equal = sum(layer[name] for name in fitted.base.names)
        own, theirs = (rank_ic(of, test.label, test.events).mean() for of in (answer.expected, equal))
        ahead.append(own - theirs)
        level.append(theirs)
    assert np.mean(ahead) >= -0.002
    assert np.min(ahead) >= -0.1 * np.mean(level)


def test_the_stack_beats_each_base_model_and_comes_near_the_oracle():
    """On a linear, an interaction and a regime-dependent part; mean over three seeds."""
    ics: dict[str, list[float]] = {}
    for seed in range(3):
        train, test, oracle = halves(panel(symbols=70, sessions=400, seed=seed))
        fitted = fit(train, stack={"inner_folds": 3})
        answer, by_layer = fitted.by_layer(test.x, test.category, test.size)
        for name, forecast in {**by_layer, "stack": answer.expected, "oracle": oracle}.items():
            ics.setdefault(name, []).append(rank_ic(forecast, test.label, test.events).mean())
    mean = {name: float(np.mean(values)) for name, values in ics.items()}
    assert mean["stack"] > max(mean[name] for name in ("elastic_net", "xgboost", "lightgbm"))
    assert mean["stack"] >= 0.8 * mean["oracle"]


FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
PLANTED, NULL = (20, 100) if FULL else (3, 10)


@pytest.mark.calibration
def test_at_an_oracle_ic_of_five_hundredths_the_stack_keeps_four_fifths_of_it():
    """Mean rank IC out of sample over seeds; in full also by the lower end of its 95% interval."""
    ahead = []
    for seed in range(PLANTED):
        train, test, oracle = halves(panel(symbols=300, sessions=500, ic=0.05, seed=seed, parts=MOSTLY_LINEAR))
        own, best = (rank_ic(of, test.label, test.events).mean() for of in (said(fit(train), test), oracle))
        ahead.append(own - 0.8 * best)
    spread = t.ppf(0.975, PLANTED - 1) * np.std(ahead, ddof=1) / np.sqrt(PLANTED) if FULL else 0.0
    assert np.mean(ahead) - spread > 0.0


@pytest.mark.calibration
def test_on_noise_the_interval_of_its_rank_ic_covers_zero():
    """The report's own 95% interval, of daily sessions whose ten-day labels overlap: in the binomial band of 99%."""
    covered = 0
    for seed in range(NULL):
        train, test, _ = halves(panel(symbols=10, sessions=1000, ic=0.0, seed=seed, horizon=10))
        ic = rank_ic(said(fit(train, stack=SMALL), test), test.label, test.events)
        block = block_length(test.events.with_columns(t1="t1_due"))
        found = Blocks(block, alpha=0.025, draws=2000, seed=seed).of_ic.mean(ic)
        assert found.blocks == len(ic) / 20, "mean blocks of two horizons"
        covered += found.low <= 0.0 <= found.high
    low, high = binom.interval(0.99, NULL, 0.95)
    assert low <= covered <= high


def broken(error: Exception):
    def make(seed: int):
        raise error

    return Layer(make, {})


class Constant(Remembering):
    """Always 0."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(len(x))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(broken(RuntimeError("out of luck\nat length")), "out of luck", id="raises"),
        pytest.param(Layer(lambda seed: Constant(None), {}), "it predicts 0 for every event", id="all-zero"),
    ],
)
def test_a_base_model_that_is_of_no_use_is_left_out_with_its_reason(small, monkeypatch, bad, why):
    train, test, _ = halves(small)
    monkeypatch.setitem(layers.LAYERS, ("bad", REGRESSION), bad)
    with_it = fit(train, stack={**SMALL, "models": ["elastic_net", "bad", "lightgbm"]})
    assert ("bad", "left out", why) in with_it.notes
    assert np.array_equal(said(with_it, test), said(fit(train, stack=SMALL), test))


def test_fewer_base_models_than_asked_for_are_averaged_and_it_is_said(small, monkeypatch):
    train, test, _ = halves(small)
    monkeypatch.setitem(layers.LAYERS, ("bad", REGRESSION), broken(ValueError("no")))
    fitted = fit(train, stack={"models": ["lightgbm", "bad"], "regime_model": None})
    assert fitted.base.meta is None and fitted.base.weights.tolist() == [1.0]
    assert fitted.notes[-1][:2] == ("meta", "performance weights")
    assert "1 base models could be fitted, fewer than stack.min_base_models (2)" in fitted.notes[-1].why
    alone = fitted.base.bases["lightgbm"].predict(fitted.preparation.apply(test.x))
    assert said(fitted, test) == pytest.approx(alone, abs=1e-6)


def test_without_any_base_model_the_reasons_are_given(small, monkeypatch):
    monkeypatch.setitem(layers.LAYERS, ("bad", REGRESSION), broken(ValueError("no luck today")))
    with pytest.raises(BadData, match=r"none could be \(bad: no luck today\)"):
        fit(small.sample, stack={"models": ["bad"], "regime_model": None})


@pytest.mark.parametrize("fallback", ["performance", "equal"])
def test_a_meta_learner_that_fails_is_replaced_by_weights(small, fallback):
    train, test, _ = halves(small)
    lasso = {"meta": {"alpha": 1e6, "l1_ratio": 1.0}}
    fitted = fit(train, stack={**SMALL, "meta": "elastic_net", "fallback": fallback}, hyperparameters=lasso)
    assert fitted.notes[-1] == ("meta", f"{fallback} weights", "it predicts the same for every event")
    base, ready = fitted.base, fitted.preparation.apply(test.x)
    columns = np.hstack(list(base.columns(ready).values()))
    assert said(fitted, test) == pytest.approx(columns @ base.weights, abs=1e-6)
    if fallback == "equal":
        assert base.weights.tolist() == pytest.approx([1 / 3] * 3)


def test_a_layer_that_a_lasso_drops_is_noted(small):
    """Twice the same base model: one is enough to a lasso."""
    train, _, _ = halves(small)
    lasso = {"meta": {"alpha": 0.05, "l1_ratio": 1.0}}
    fitted = fit(train, stack={**SMALL, "meta": "elastic_net", "min_regime_dates": 20}, hyperparameters=lasso)
    zero = [name for name, share in zip(fitted.base.names, fitted.base.coefficients, strict=True) if share == 0.0]
    noted = [note.layer for note in fitted.notes if note.what == "weight 0"]
    assert noted == zero and zero


def test_a_window_too_short_for_inner_folds_is_averaged_and_says_why(small):
    fitted = fit(small.sample.rows(np.arange(80)), stack={**SMALL, "regime_model": None})
    assert fitted.base.meta is None
    assert [note.what for note in fitted.notes][-2:] == ["no inner folds", "equal weights"]


@pytest.mark.parametrize(
    ("stack", "what"),
    [
        pytest.param({}, "its own elastic_net", id="models"),
        pytest.param({"min_regime_dates": 1000}, "sample weights", id="weights-too-few-dates"),
        pytest.param({"min_regime_events": 10**6}, "sample weights", id="weights-too-few-events"),
        pytest.param({"regime_model": None}, "sample weights", id="weights-no-regime-model"),
    ],
)
def test_how_regimes_enter_is_recorded(small, stack, what):
    notes = fit(small.sample, stack={**SMALL, "min_regime_dates": 20, **stack}).notes
    assert next(note.what for note in notes if note.layer.startswith("regimes")) == what


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("least", [20, 1000], ids=["models", "weights"])
def test_an_early_window_of_which_no_regime_is_known_weighs_its_events_alike(small, least):
    """Probabilities begin years after the first bar: an inner fold may end before them."""
    x = small.sample.x.copy()
    x[: len(x) // 2, -STATES:] = np.nan
    fitted = fit(small.sample._replace(x=x), stack={**SMALL, "min_regime_dates": least})
    assert not [note for note in fitted.notes if note.what == "left out"]
    assert np.isfinite(fitted.predict(x, small.sample.category, small.sample.size).expected).all()
    none = Bounds.of(x[:50], regimes=STATES)
    ready = none.apply(x[:50])[:, -STATES:]
    np.testing.assert_allclose(ready, 1.0 / STATES)
    np.testing.assert_array_equal(regime_layer.sample_weights(ready), np.ones(50, np.float32))


def test_a_regime_with_too_few_dates_has_the_general_model(small):
    state = np.nan_to_num(small.sample.x[:, -STATES:]).argmax(axis=1)
    x = small.sample.x.copy()
    rare = np.flatnonzero(state == 2)[100:]
    x[rare, -STATES:] = np.float32([0.9, 0.05, 0.05])
    fitted = fit(small.sample._replace(x=x), stack={**SMALL, "min_regime_dates": 20})
    assert fitted.base.experts[2] is fitted.base.bases["elastic_net"]
    assert fitted.base.experts[0] is not fitted.base.bases["elastic_net"]
    whats = {note.layer: note.what for note in fitted.notes}
    assert whats["regimes: 3 of 3"] == "the general elastic_net"


def test_soft_weights_are_the_probability_weighted_rows_of_the_table(small):
    """w_j = Σ p_r W[r, j], normalised over the layers: by hand, of three base models without models of regimes."""
    stack = {"regime_model": None}
    fitted = fit(small.sample, stack=stack)
    ready = fitted.preparation.apply(small.sample.x[-50:])
    columns = fitted.base.columns(ready)
    inputs = fitted.base.inputs(columns, ready)
    rows = {"elastic_net": (0.8, 0.5, 0.3), "xgboost": (0.5, 0.5, 0.5), "lightgbm": (0.3, 0.5, 0.8)}  # bear to bull
    for i in range(50):
        p = ready[i, -STATES:]
        weight = {name: sum(p[r] * row[r] for r in range(STATES)) for name, row in rows.items()}
        for j, name in enumerate(rows):
            expected = (columns[name][i, 0] - fitted.base.centre[j]) * weight[name] / sum(weight.values())
            assert inputs[i, j] == pytest.approx(expected, abs=1e-6)
        assert inputs[i, 3:].tolist() == p.tolist()


def test_missing_regime_probabilities_are_the_mean_ones(small):
    fitted = fit(small.sample, stack=SMALL)
    known = small.sample.x[~np.isnan(small.sample.x[:, -1]), -STATES:]
    rows = small.sample.rows(np.arange(400, 410))
    missing, mean = rows.x.copy(), rows.x.copy()
    missing[:, -STATES:], mean[:, -STATES:] = np.nan, known.mean(axis=0, dtype=np.float64)
    assert said(fitted, rows._replace(x=missing)) == pytest.approx(said(fitted, rows._replace(x=mean)), abs=1e-6)


def test_weights_out_of_fold_are_the_best_of_all(small):
    """Against scipy's constrained minimum, by squares and by likelihood."""
    rng = np.random.default_rng(1)
    n = 400
    label = rng.standard_normal(n)
    columns = [(0.3 * label + rng.standard_normal(n) + 5.0)[:, None], (0.5 * label + rng.standard_normal(n))[:, None]]
    events = small.sample.rows(np.arange(n))._replace(label=label, weight=rng.uniform(0.5, 1, n).astype(np.float32))
    ours = stacking.best_weights(columns, events, REGRESSION)
    centred = np.hstack(columns) - np.average(np.hstack(columns), axis=0, weights=events.weight)

    def squares(a: np.ndarray) -> float:
        return float(
            np.average((label - np.average(label, weights=events.weight) - centred @ a) ** 2, weights=events.weight)
        )

    best = minimize(squares, [0.5, 0.5], bounds=[(0, None)] * 2).x
    assert ours == pytest.approx(best / best.sum(), abs=1e-3)

    classes = rng.integers(0, 3, n)
    said_of = [rng.dirichlet(1 + sharp * np.eye(3)[c]) for sharp in (1.0, 2.0) for c in classes]
    parts = [np.array(said_of[:n]), np.array(said_of[n:])]
    ours = stacking.best_weights(parts, events._replace(label=classes), CLASSIFICATION)

    def loss(a: float) -> float:
        mixed = a * parts[0][np.arange(n), classes] + (1 - a) * parts[1][np.arange(n), classes]
        return float(-np.average(np.log(mixed), weights=events.weight))

    assert loss(ours[0]) <= min(loss(a) for a in np.linspace(0, 1, 201)) + 1e-5


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_are_stacked_by_log_probabilities(small, n_classes):
    sample = classed(small.sample, n_classes)
    fitted = fit(sample, n_classes=n_classes, stack=SMALL)
    assert fitted.base.meta is not None
    ready = fitted.preparation.apply(sample.x[:5])
    columns = fitted.base.columns(ready)
    inputs = fitted.base.inputs(columns, ready)
    assert inputs.shape == (5, 3 * n_classes + STATES)
    ratio = inputs[:, :n_classes] / np.log(columns["elastic_net"])  # one weight for all classes of a layer
    assert ratio == pytest.approx(np.repeat(ratio[:, :1], n_classes, axis=1), rel=1e-4)
    answer = fitted.predict(sample.x, sample.category, sample.size)
    assert answer.probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_same_inputs_give_the_same_stack(small):
    assert onnx.export(fit(small.sample, stack=SMALL)) == onnx.export(
        fit(panel(symbols=10, sessions=200).sample, stack=SMALL)
    )
