"""Base models by name, for outcomes in classes and for targets that are numbers.

A new one is a function and an entry in `LAYERS` (or `METAS`, for meta-learners) with its hyperparameters: the default
and the range in which each is tuned.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.errors import BadParameters, did_you_mean
from bq.core.settings import Learning
from bq.learning import warm

Kind = Literal["classification", "regression"]
CLASSIFICATION: Literal["classification"] = "classification"
REGRESSION: Literal["regression"] = "regression"
STACK = "stack"  # the name under which learning/stacking combines several
META = "meta"  # the name under which hyperparameters of its meta-learner are set
ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold


class Range(NamedTuple):
    """A hyperparameter: its default, and the range in which it is tuned."""

    default: float
    low: float
    high: float
    log: bool = False


class Layer(NamedTuple):
    """A base model: called with `seed` and its hyperparameters, `make` returns a scikit-learn estimator.

    That of a meta-learner also gets the number of `layers` and the `width` of their predictions.
    """

    make: Callable[..., Any]
    ranges: Mapping[str, Range]


def elastic_net(seed: int, **hyperparameters: float) -> Any:
    """Linear regression with an elastic-net penalty on standardised features, by their Gram matrix."""
    from sklearn.linear_model import ElasticNet
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), ElasticNet(precompute=True, random_state=seed, **hyperparameters))


def factor_weights(seed: int, **hyperparameters: float) -> Any:
    """Linear regression on standardised features, its penalty in units of what chance shows; nothing is drawn."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from bq.learning.factor_weights import FactorWeights

    return make_pipeline(StandardScaler(), FactorWeights(**hyperparameters))


def logistic_elastic_net(seed: int, **hyperparameters: float) -> Any:
    """Multinomial logistic regression with an elastic-net penalty, on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(solver="saga", max_iter=500, tol=1e-3, random_state=seed, **hyperparameters)
    return make_pipeline(StandardScaler(), model)


def _lightgbm(estimator: str) -> Callable[..., Any]:
    def make(seed: int, **hyperparameters: float) -> Any:
        import lightgbm

        fixed = {"n_jobs": 1, "deterministic": True, "force_row_wise": True, "subsample_freq": 1, "verbose": -1}
        return getattr(lightgbm, estimator)(random_state=seed, **fixed, **hyperparameters)

    return make


def _xgboost(estimator: str) -> Callable[..., Any]:
    def make(seed: int, **hyperparameters: float) -> Any:
        import xgboost

        return getattr(xgboost, estimator)(tree_method="hist", random_state=seed, n_jobs=1, **hyperparameters)

    return make


def _mlp(estimator: str) -> Callable[..., Any]:
    """A small feed-forward network on standardised features, stopped early on a tenth of its training events."""

    def make(seed: int, *, first: int, second: int, alpha: float) -> Any:
        from sklearn import neural_network
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        network = getattr(neural_network, estimator)
        size = {"hidden_layer_sizes": (first, second)}
        model = network(**size, alpha=alpha, early_stopping=True, max_iter=200, random_state=seed)
        return make_pipeline(StandardScaler(), model)

    return make


def _blend(estimator: str) -> Callable[..., Any]:
    """The layers' average, moved from equal weights as far as out-of-fold events support."""

    def make(seed: int, **hyperparameters: float) -> Any:
        from bq.learning import blend

        return blend.centred(getattr(blend, estimator)(**hyperparameters))

    return make


def _as_meta(make: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """A base model as a meta-learner, for which the layers' predictions are features like others."""
    return lambda seed, layers, width, **hyperparameters: make(seed, **fixed, **hyperparameters)


LINEAR = {"alpha": Range(0.01, 1e-4, 0.1, log=True), "l1_ratio": Range(0.5, 0.05, 1.0)}
FACTORS = {"strength": Range(0.5, 0.1, 2.0, log=True), "ridge": Range(1.0, 0.1, 10.0, log=True)}
LOGISTIC = {"C": Range(0.05, 1e-3, 10.0, log=True), "l1_ratio": Range(0.5, 0.0, 1.0)}
LIGHTGBM = {  # shallow and slow-learning, as outcomes are mostly noise
    "n_estimators": Range(150, 50, 400, log=True),
    "learning_rate": Range(0.03, 0.01, 0.3, log=True),
    "num_leaves": Range(7, 4, 63, log=True),
    "min_child_samples": Range(60, 10, 500, log=True),
    "subsample": Range(0.7, 0.4, 1.0),
    "colsample_bytree": Range(0.6, 0.3, 1.0),
    "reg_lambda": Range(10.0, 0.1, 10_000.0, log=True),
}
XGBOOST = {
    "n_estimators": Range(150, 50, 400, log=True),
    "learning_rate": Range(0.03, 0.01, 0.3, log=True),
    "max_depth": Range(3, 2, 8),
    "min_child_weight": Range(30, 1, 500, log=True),
    "subsample": Range(0.7, 0.4, 1.0),
    "colsample_bytree": Range(0.6, 0.3, 1.0),
    "reg_lambda": Range(10.0, 0.1, 10_000.0, log=True),
}
MLP = {"first": Range(32, 8, 128, log=True), "second": Range(16, 4, 64, log=True), "alpha": Range(0.01, 1e-4, 1, True)}


LAYERS: dict[tuple[str, str], Layer] = {
    ("elastic_net", CLASSIFICATION): Layer(logistic_elastic_net, LOGISTIC),
    ("elastic_net", REGRESSION): Layer(elastic_net, LINEAR),
    ("factor_weights", REGRESSION): Layer(factor_weights, FACTORS),
    ("lightgbm", CLASSIFICATION): Layer(_lightgbm("LGBMClassifier"), LIGHTGBM),
    ("lightgbm", REGRESSION): Layer(_lightgbm("LGBMRegressor"), LIGHTGBM),
    ("mlp", CLASSIFICATION): Layer(_mlp("MLPClassifier"), MLP),
    ("mlp", REGRESSION): Layer(_mlp("MLPRegressor"), MLP),
    ("xgboost", CLASSIFICATION): Layer(_xgboost("XGBClassifier"), XGBOOST),
    ("xgboost", REGRESSION): Layer(_xgboost("XGBRegressor"), XGBOOST),
}

FEW_TREES = {  # few bins: rounding rarely decides on which side of a split a row falls
    "n_estimators": Range(50, 20, 200, log=True),
    "num_leaves": Range(8, 4, 16, log=True),
    "max_depth": Range(3, 2, 5),
    "learning_rate": Range(0.05, 0.01, 0.3, log=True),
    "max_bin": Range(15, 7, 63, log=True),
}
BLEND = {"shrinkage": Range(0.1, 0.01, 10.0, log=True)}  # 0.1: level with the best averages on planted panels
METAS: dict[tuple[str, str], Layer] = {
    ("blend", CLASSIFICATION): Layer(_blend("BlendClassifier"), BLEND),
    ("blend", REGRESSION): Layer(_blend("BlendRegressor"), BLEND),
    ("elastic_net", CLASSIFICATION): Layer(
        _as_meta(logistic_elastic_net), LAYERS["elastic_net", CLASSIFICATION].ranges
    ),
    ("elastic_net", REGRESSION): Layer(_as_meta(elastic_net, positive=True), LAYERS["elastic_net", REGRESSION].ranges),
    ("lightgbm", CLASSIFICATION): Layer(_as_meta(_lightgbm("LGBMClassifier")), FEW_TREES),
    ("lightgbm", REGRESSION): Layer(_as_meta(_lightgbm("LGBMRegressor")), FEW_TREES),
}


def kind_of(n_classes: int) -> Kind:
    """The kind of a task of so many classes."""
    return CLASSIFICATION if n_classes else REGRESSION


def names(kind: Kind) -> list[str]:
    """Base models of a kind, sorted."""
    return sorted(name for name, of in LAYERS if of == kind)


def settable(learning: Learning, kind: Kind) -> dict[str, Mapping[str, Range]]:
    """Hyperparameters by the name under which they are set: of base models, and under `meta` of the meta-learner."""
    found = {name: LAYERS[name, kind].ranges for name in names(kind)}
    meta = METAS.get((learning.stack.meta, kind))
    return {**found, META: meta.ranges} if meta else found


def check(learning: Learning, kind: Kind) -> None:
    """Raise BadParameters for a model, a hyperparameter or a device that does not exist."""
    warm.check(learning)
    known = names(kind)
    combined = [*known, STACK]
    wanted = {
        "model": ([learning.model], combined),
        "compare": (learning.compare, combined),
        "stack.models": (learning.stack.models, known),
    }
    for setting, (asked, allowed) in wanted.items():
        for name in asked:
            if name not in allowed:
                raise BadParameters(
                    f"`learning.{setting}` must name base models of {kind}, but got {name!r}; "
                    f"{did_you_mean(name, allowed)}"
                )
    ranges = settable(learning, kind)
    for name, values in learning.hyperparameters.items():
        if name not in ranges:
            raise BadParameters(
                f"`learning.hyperparameters` must name base models of {kind}, or `{META}`, but got {name!r}; "
                f"{did_you_mean(name, ranges)}"
            )
        for key, value in values.items():
            _check_hyperparameter(name, kind, key, value, ranges[name])
    if learning.device == "cuda":
        _check_gpu()


def _check_hyperparameter(name: str, kind: Kind, key: str, value: float, known: Mapping[str, Range]) -> None:
    if key not in known:
        raise BadParameters(
            f"`learning.hyperparameters.{name}.{key}` is not a hyperparameter of {name} ({kind}); "
            f"{did_you_mean(key, known)}"
        )
    if isinstance(known[key].default, int) and not isinstance(value, int):
        raise BadParameters(f"`learning.hyperparameters.{name}.{key}` must be a whole number, but got {value!r}.")


def _check_gpu() -> None:
    """Raise BadParameters where XGBoost would find no GPU."""
    import xgboost

    tool = shutil.which("nvidia-smi")
    listed = subprocess.run([tool, "-L"], capture_output=True, timeout=30, check=False).stdout if tool else b""
    if not xgboost.build_info().get("USE_CUDA") or b"GPU 0" not in listed:
        raise BadParameters(
            "`learning.device: cuda` needs an NVIDIA GPU with its driver and an XGBoost built with CUDA, but none was "
            "found on this machine. Set learning.device: cpu."
        )


def make(name: str, kind: Kind, learning: Learning) -> Any:
    """An unfitted base model with the hyperparameters of the settings."""
    layer = LAYERS[name, kind]
    model = layer.make(seed=learning.seed, **_values(layer, learning, name))
    return model.set_params(device=learning.device) if "device" in model.get_params() else model


def make_meta(kind: Kind, learning: Learning, *, layers: int, width: int) -> Any:
    """The unfitted meta-learner of the settings, for `layers` layers whose predictions have `width` columns each."""
    layer = METAS[learning.stack.meta, kind]
    return layer.make(seed=learning.seed, layers=layers, width=width, **_values(layer, learning, META))


def _values(layer: Layer, learning: Learning, name: str) -> dict[str, float]:
    return {key: value.default for key, value in layer.ranges.items()} | learning.hyperparameters.get(name, {})


def fit(model: Any, x: NDArray[np.float32], y: NDArray[Any], weight: NDArray[np.float32], **beside: Any) -> Any:
    """Fit an unfitted base model on features of shape (n_events, n_features) without missing values.

    beside : what the model's own `fit` takes.
    """
    keyword = f"{model.steps[-1][0]}__sample_weight" if hasattr(model, "steps") else "sample_weight"
    model.fit(x, y, **{keyword: weight}, **beside)
    if hasattr(model, "booster_"):
        _float32_thresholds(model)
    return model


def predict(model: Any, x: NDArray[np.float32], kind: Kind) -> NDArray[Any]:
    """Predictions of a fitted model: probabilities (n_events, n_classes), or the target (n_events, 1)."""
    return model.predict(x)[:, None] if kind == REGRESSION else model.predict_proba(x)


def importance(model: Any, n_features: int) -> NDArray[np.float64]:
    """Share of each feature in the gain (trees) or in the absolute coefficients (linear).

    NaN for a base model that has neither.
    """
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if hasattr(last, "booster_"):
        raw = last.booster_.feature_importance("gain")
    elif hasattr(last, "coef_"):
        raw = np.abs(np.atleast_2d(last.coef_)).sum(axis=0)
    else:
        raw = getattr(last, "feature_importances_", np.full(n_features, np.nan))
    raw = np.asarray(raw, np.float64)
    return raw / max(raw.sum(), 1e-12)


def _float32_thresholds(model: Any) -> None:
    """Round LightGBM's split thresholds down to float32.

    For float32 features `x <= t` and `x <= floor32(t)` are the same test, so no prediction changes; an ONNX tree holds
    float32 thresholds, and rounding to nearest would send rows that lie on a threshold the other way. LightGBM reads
    values up to ±1e-35 as 0 and splits zeros off at that very number: -1e-35 moves one float down, out of its reach.
    """
    import lightgbm

    def down(match: re.Match[str]) -> str:
        exact = np.array(match.group(1).split(), np.float64)
        single = exact.astype(np.float32)
        too_high = (single > exact) | (single == -ZERO)
        single = np.where(too_high, np.nextafter(single, np.float32(-np.inf)), single)
        return "threshold=" + " ".join(repr(float(value)) for value in single) + "\n"

    text = re.sub(r"threshold=([^\n]*)\n", down, model.booster_.model_to_string())
    # tree_sizes are byte offsets into the text that has just changed; without the line LightGBM parses sequentially
    model._Booster = lightgbm.Booster(model_str=re.sub(r"tree_sizes=[^\n]*\n", "", text))
