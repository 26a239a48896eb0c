import pytest

from bq import market
from bq.core.settings import Market


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path, monkeypatch):
    """Nothing is written outside the test."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))


@pytest.fixture(scope="session")
def bundled():
    """The bundled bars, as the shipped parameters read them."""
    from event_samples import butterfly_settings

    return market.load(butterfly_settings().market)


@pytest.fixture(scope="session")
def simulated():
    """A small simulated market."""
    plan = {"symbols": 2, "sessions": 700, "pinned_share": 0.5}
    return market.load(Market.model_validate({"source": "simulated", "simulation": plan}))
