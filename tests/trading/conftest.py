import pytest


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path, monkeypatch):
    """An empty home and database, and one process."""
    monkeypatch.setenv("BQ_WORKERS", "1")
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path
