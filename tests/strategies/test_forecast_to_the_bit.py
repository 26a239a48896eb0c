"""The forecast on a small simulated panel, from bars to the model, is the same to the bit as when it was first held."""

import hashlib
import platform

import polars as pl
import pytest

from bq import market, strategies
from bq.core import params, paths
from bq.learning import walkforward
from bq.strategies import store

SMALL = (
    "market.simulation.symbols=24 market.simulation.sessions=1000 events.every_sessions=5 learning.folds=2 "
    "learning.test_days=200 learning.newest_days=100 learning.compare=[] learning.regimes.min_sessions=300"
)

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="another processor rounds sums otherwise")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Market, events and training of the panel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        strategy = strategies.get("forecast")
        file = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
        settings = params.load(file, strategy.settings, overrides=SMALL)
        data = market.load(settings.market)
        collection = store.collect(strategy, settings, data)
        yield data, collection, walkforward.train(collection.events, strategy, settings)


def digest(frame: pl.DataFrame) -> str:
    """Of names, types and values, whatever the chunks."""
    content = repr(list(frame.schema.items())) + frame.write_csv(float_precision=17, float_scientific=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def test_events_are_the_same_to_the_bit(made):
    data, collection, _ = made
    assert data.data_hash[:16] == "c55fe3a13e4243aa"
    assert collection.data_hash[:16] == "3b569494fac45eec"
    assert digest(collection.events) == "33262bb488fd2545"


def test_predictions_out_of_sample_are_the_same_to_the_bit(made):
    _, _, training = made
    assert digest(training.oos) == "2f2da3d22e1a4ce5"
    assert digest(training.newest) == "51dcff8bf3de96f0"
    assert digest(training.layers) == "a813963ce48769da"
