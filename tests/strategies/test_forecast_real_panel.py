"""Real bars of several hundred stocks, where the environment says where they are."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from forecast_samples import FORECAST, forecast_settings

from bq import market
from bq.core import paths
from bq.strategies.forecast.alignment import alignment, coverage
from bq.strategies.forecast.features import FACTORS

FOLDER = os.environ.get("BQ_TEST_DATA")
FILE = "us_equities_sp500_2015_2020.parquet"
pytestmark = pytest.mark.skipif(not FOLDER, reason="BQ_TEST_DATA is not set")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        paths.raw_bars().mkdir(parents=True)
        shutil.copy(Path(FOLDER) / FILE, paths.raw_bars())
        settings = forecast_settings("market.source=files market.start=null")
        data = market.load(settings.market)
        wanted = FORECAST.table.schedule(data, settings)
        return sum(map(len, wanted.values())), *FORECAST.table.build(data, settings, wanted)


def test_every_session_after_the_first_year_has_all_297_names(found):
    scheduled, events, refused = found
    assert events["symbol"].n_unique() == 297 and scheduled == 297 * 1259
    assert alignment(scheduled, events, refused)["rows"].to_list() == [297 * n for n in (1259, 1007, 1007, 997)]


def test_all_factors_are_there_and_within_reason(found):
    _, events, _ = found
    assert coverage(events, FACTORS)["coverage"].min() > 0.999
    for name, low, high in (
        ("rsi_14", 0, 100),
        ("trend_r2_20", 0, 1),
        ("near_52w_high", 0.05, 1),
        ("volatility_20", 0.01, 4),
        ("volume_price_corr_3d", -1, 1),
    ):
        values = events[name].drop_nans()
        assert low <= values.min() and values.max() <= high, name
    assert np.median(events["market_beta_60"]) == pytest.approx(1.0, abs=0.1)  # of the mean of all names
