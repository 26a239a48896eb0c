import os
from pathlib import Path

import pytest


@pytest.fixture
def bars_folder(tmp_path, monkeypatch):
    """An empty data/raw/bars below a home of its own."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    folder = tmp_path / "data" / "raw" / "bars"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def samples():
    """The folder with real market data, which is not part of the project."""
    folder = os.environ.get("BQ_TEST_DATA")
    if not folder:
        pytest.skip("BQ_TEST_DATA is not set: the samples of real market data are not part of the project")
    return Path(folder)
