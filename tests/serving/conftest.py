"""Fitted toy models, and a home of its own for every test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))  # the toy strategy is the same one

from toy_strategy import SUCCESS, TOY, toy_events, toy_learning, toy_sample, toy_settings

from bq.learning import layers, model, walkforward


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home with its own database."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def sample() -> model.Sample:
    return toy_sample(500, features=5)


@pytest.fixture(scope="session", params=layers.names("classification"))
def fitted(request, sample) -> model.FittedModel:
    return model.fit(request.param, sample, n_classes=3, learning=toy_learning())


@pytest.fixture(scope="session")
def events():
    return toy_events()


@pytest.fixture(scope="session")
def training(events) -> walkforward.Training:
    return walkforward.train(events, TOY, toy_settings())


@pytest.fixture(scope="session")
def success(events) -> walkforward.Training:
    return walkforward.train(events, TOY, toy_settings(), task=SUCCESS)
