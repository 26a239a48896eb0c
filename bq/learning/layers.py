"""Base models by name. A new one is one function registered in `CLASSIFIERS`."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from bq.core.errors import BadParameters, did_you_mean

ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold


def logistic_elastic_net(seed: int) -> Any:
    """Multinomial logistic regression with an elastic-net penalty, on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(solver="saga", C=0.05, l1_ratio=0.5, max_iter=500, tol=1e-3, random_state=seed)
    return make_pipeline(StandardScaler(), model)


def lightgbm(seed: int) -> Any:
    """Gradient-boosted trees, shallow and slow-learning: option outcomes are mostly noise."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=150,
        learning_rate=0.03,
        num_leaves=7,
        min_child_samples=60,
        subsample=0.7,
        subsample_freq=1,
        colsample_bytree=0.6,
        reg_lambda=10.0,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )


def xgboost(seed: int) -> Any:
    """Gradient-boosted trees by histogram, as shallow and slow as `lightgbm`."""
    from xgboost import XGBClassifier

    return XGBClassifier(
        n_estimators=150,
        learning_rate=0.03,
        max_depth=3,
        min_child_weight=30,
        subsample=0.7,
        colsample_bytree=0.6,
        reg_lambda=10.0,
        tree_method="hist",
        random_state=seed,
        n_jobs=1,
    )


def mlp(seed: int) -> Any:
    """A small feed-forward network on standardised features, stopped early on a tenth of its training events."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = MLPClassifier((32, 16), alpha=0.01, early_stopping=True, max_iter=200, random_state=seed)
    return make_pipeline(StandardScaler(), model)


CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "lightgbm": lightgbm,
    "logistic_elastic_net": logistic_elastic_net,
    "mlp": mlp,
    "xgboost": xgboost,
}


def check(names: list[str]) -> None:
    """Raise BadParameters for a name that is not registered."""
    for name in names:
        if name not in CLASSIFIERS:
            raise BadParameters(
                f"`learning.model` and `learning.compare` must name base models, but got {name!r}; "
                f"{did_you_mean(name, CLASSIFIERS)}"
            )


def fit(name: str, x: np.ndarray, y: np.ndarray, weight: np.ndarray, *, seed: int) -> Any:
    """Fit a base model on float32 features of shape (n_events, n_features) without missing values."""
    model = CLASSIFIERS[name](seed)
    keyword = f"{model.steps[-1][0]}__sample_weight" if hasattr(model, "steps") else "sample_weight"
    model.fit(x, y, **{keyword: weight})
    if hasattr(model, "booster_"):
        _float32_thresholds(model)
    return model


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
