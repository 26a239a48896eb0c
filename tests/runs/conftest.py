"""A copy of the home that version 0.1 left behind."""

import shutil
from pathlib import Path

import pytest

MADE_BY_0_1 = Path(__file__).parents[1] / "made_by_0_1"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    copy = Path(shutil.copytree(MADE_BY_0_1, tmp_path / "home"))
    monkeypatch.setenv("BQ_HOME", str(copy))
    for name in ("BQ_DATABASE_URL", "STRATEGY", "PARAMS", "SET", "RUN", "A", "B", "NOTIFY_CMD"):
        monkeypatch.delenv(name, raising=False)
    return copy
