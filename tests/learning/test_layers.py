"""The registry of base models: names, hyperparameters, devices, and what each kind answers."""

import numpy as np
import pytest
from toy_strategy import toy_learning, toy_sample

from bq.core.errors import BadParameters
from bq.core.settings import Stack
from bq.learning import layers, model
from bq.learning.layers import CLASSIFICATION, LAYERS, METAS, REGRESSION

BOTH = [(name, kind) for kind in (CLASSIFICATION, REGRESSION) for name in layers.names(kind)]
each_layer = pytest.mark.parametrize(("name", "kind"), BOTH, ids=lambda value: value)


def test_every_base_model_is_there_for_classes_and_for_numbers_and_factor_weights_for_numbers_alone():
    names = ["elastic_net", "lightgbm", "mlp", "xgboost"]
    assert layers.names(CLASSIFICATION) == names
    assert layers.names(REGRESSION) == sorted([*names, "factor_weights"])


def test_every_meta_learner_is_there_for_classes_and_for_numbers():
    for kind in (CLASSIFICATION, REGRESSION):
        assert sorted(name for name, of in METAS if of == kind) == ["blend", "elastic_net", "lightgbm"]


@pytest.mark.parametrize("layer", [*LAYERS.values(), *METAS.values()], ids=[*map(str, LAYERS), *map(str, METAS)])
def test_defaults_lie_within_the_ranges_that_are_tuned(layer):
    for key, (default, low, high, log) in layer.ranges.items():
        assert low <= default <= high
        assert not log or low > 0
        assert isinstance(low, int) == isinstance(default, int), key


@pytest.mark.parametrize(("name", "kind"), METAS, ids=str)
def test_every_hyperparameter_reaches_the_meta_learner(name, kind):
    """Its low end is set under `meta`, and found among the estimator's own parameters."""
    lows = {key: value.low for key, value in METAS[name, kind].ranges.items()}
    given = toy_learning(stack=Stack(meta=name), hyperparameters={"meta": lows})
    layers.check(given, kind)
    made = layers.make_meta(kind, given, layers=2, width=3)
    known = {key.rpartition("__")[2]: value for key, value in made.get_params().items()}
    assert {key: known[key] for key in lows} == lows


@each_layer
def test_every_hyperparameter_reaches_the_model(name, kind):
    """Its low end is set, and found among the estimator's own parameters."""
    lows = {key: value.low for key, value in LAYERS[name, kind].ranges.items()}
    made = layers.make(name, kind, toy_learning(hyperparameters={name: lows}))
    known = {key.rpartition("__")[2]: value for key, value in made.get_params().items()}
    if name == "mlp":
        known |= dict(zip(("first", "second"), known["hidden_layer_sizes"], strict=True))
    assert {key: known[key] for key in lows} == lows


def test_the_linear_regression_has_the_published_defaults():
    params = layers.make("elastic_net", REGRESSION, toy_learning()).get_params()
    assert (params["elasticnet__alpha"], params["elasticnet__l1_ratio"]) == (0.01, 0.5)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_trees_are_as_shallow_for_numbers_as_for_classes(name):
    """Returns are as noisy as outcomes of options; deep trees keep a third of what these find of a planted signal."""
    assert LAYERS[name, REGRESSION].ranges == LAYERS[name, CLASSIFICATION].ranges


def test_what_is_not_set_stays_the_default():
    params = layers.make("lightgbm", CLASSIFICATION, toy_learning(hyperparameters={"lightgbm": {"num_leaves": 15}}))
    assert params.get_params()["num_leaves"] == 15
    assert params.get_params()["n_estimators"] == LAYERS["lightgbm", CLASSIFICATION].ranges["n_estimators"].default


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param(
            {"model": "lightgbn"}, r"`learning.model` .* got 'lightgbn'; did you mean `lightgbm`\?", id="model"
        ),
        pytest.param({"compare": ["stak"]}, r"`learning.compare` .*; did you mean `stack`\?", id="compare"),
        pytest.param(
            {"stack": Stack(models=["stack"])}, "`learning.stack.models` must name base models", id="stack-of-stacks"
        ),
        pytest.param({"hyperparameters": {"xgbost": {}}}, r"got 'xgbost'; did you mean `xgboost`\?", id="layer"),
        pytest.param(
            {"hyperparameters": {"lightgbm": {"num_leafs": 3}}}, r"did you mean `num_leaves`\?", id="hyperparameter"
        ),
        pytest.param({"hyperparameters": {"elastic_net": {"alpha": 1.0}}}, "known: C, l1_ratio", id="of-another-kind"),
        pytest.param(
            {"hyperparameters": {"meta": {"alpha": 1.0}}},
            "hyperparameters.meta.alpha` .* shrinkage",
            id="of-another-meta",
        ),
        pytest.param(
            {"stack": Stack(meta="weights"), "hyperparameters": {"meta": {"shrinkage": 1.0}}}, "'meta'", id="no-meta"
        ),
        pytest.param(
            {"hyperparameters": {"lightgbm": {"num_leaves": 7.5}}}, "must be a whole number, but got 7.5", id="fraction"
        ),
    ],
)
def test_what_is_not_registered_is_refused_with_the_nearest(changes, says):
    with pytest.raises(BadParameters, match=says):
        layers.check(toy_learning(**changes), CLASSIFICATION)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadParameters, match=r"needs an NVIDIA GPU .* Set learning.device: cpu"):
        layers.check(toy_learning(device="cuda"), REGRESSION)


@pytest.mark.parametrize("name", layers.names(REGRESSION))
def test_a_regression_expects_the_target_and_has_no_classes(name):
    sample = toy_sample(600)
    target = np.nan_to_num(sample.x[:, 0]).astype(np.float64) + 0.1 * sample.outcome
    hyperparameters = {"lightgbm": {"min_child_samples": 10}, "xgboost": {"min_child_weight": 5, "learning_rate": 0.1}}
    fitted = model.fit(
        name, sample._replace(label=target), n_classes=0, learning=toy_learning(hyperparameters=hyperparameters)
    )
    answer = fitted.predict(sample.x, sample.category, sample.size)
    assert answer.probabilities.shape == (600, 0)
    assert answer.expected.dtype == np.float32
    assert np.corrcoef(answer.expected, target)[0, 1] > 0.8
    assert (fitted.class_means, fitted.threshold) == (None, None)
    (shares,) = fitted.importance().values()
    assert np.isnan(shares).all() if name == "mlp" else shares.argmax() == 0


def test_weights_halve_with_every_half_life_and_add_up_to_what_still_counts():
    """Kish's effective number of equal events under the decays."""
    sample = toy_sample(400)
    decayed = model.decayed(sample, 75.0)
    age = np.array([(sample.events["t0"][-1] - t).days for t in sample.events["t0"]])
    ratio = (decayed.weight / sample.weight) / (decayed.weight[-1] / sample.weight[-1])
    assert ratio == pytest.approx(0.5 ** (age / 75.0), rel=1e-4)
    decay = 0.5 ** (age / 75.0)
    counting = decay.sum() ** 2 / (decay**2).sum() / len(decay)
    assert decayed.weight.sum() == pytest.approx(counting * sample.weight.sum(), rel=1e-4)
    assert model.decayed(sample, None) is sample


def test_events_older_than_ten_half_lives_no_longer_train_and_the_others_hardly_notice():
    sample = toy_sample(800)
    short, ages = model.decayed(sample, 30.0), (sample.events["t0"][-1] - sample.events["t0"]).dt.total_days()
    assert len(short.weight) == (ages <= 300).sum() == len(short.x) == len(short.events) < 800
    weight = sample.weight * 0.5 ** (ages.to_numpy() / 30.0)
    assert weight[ages.to_numpy() > 300].sum() < 0.002 * weight.sum()


def test_a_half_life_makes_the_newest_events_count():
    """The effect of the feature turns in the middle: with a short half-life the later sign is learnt."""
    sample = toy_sample(800)
    x = np.nan_to_num(sample.x[:, 0])
    target = np.where(np.arange(800) < 500, x, -x).astype(np.float64)
    slopes = []
    for half_life in (None, 60.0):
        fitted = model.fit(
            "elastic_net", sample._replace(label=target), n_classes=0, learning=toy_learning(half_life_days=half_life)
        )
        slopes.append(fitted.base.steps[-1][1].coef_[0])
    assert slopes[0] > 0 > slopes[1]
