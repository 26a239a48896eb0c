"""The versions of the libraries that results depend on."""

import importlib.metadata
from collections.abc import Iterable

PACKAGES = (
    "arch",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "polars",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "statsmodels",
)


def packages(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The version of each as it is installed."""
    return {name: importlib.metadata.version(name) for name in names}
