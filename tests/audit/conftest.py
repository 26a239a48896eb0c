"""A home of its own for every test, and the smallest strategy."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "strategies"))  # the smallest strategy is the same one


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    return tmp_path
