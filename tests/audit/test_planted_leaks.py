"""Six leaks hidden among honest features: all are accused, and no honest one."""

import os

import numpy as np
import planted_leaks
import pytest
from planted_leaks import CLEAN
from reversal_strategy import TABLE, TASK, ReversalSettings

from bq.audit import leaks
from bq.core.settings import Gate, Learning, Market
from bq.strategies import registered, store
from bq.strategies.contract import Strategy

FULL = bool(os.environ.get("BQ_FULL"))
STRATEGY = Strategy("reversal", ReversalSettings, TABLE, lambda settings: TASK)
SETTINGS = ReversalSettings(
    market=Market(),
    learning=Learning(features=["reversal_v1", "mine.*"], model="elastic_net", folds=2, test_days=200, newest_days=90),
    gate=Gate(draws=1000),
)


def accused(seed: int, monkeypatch) -> tuple[set[str], set[str], int]:
    """What the audit accuses in a market, what was planted in it, and how many features there were."""
    monkeypatch.setattr(registered, "_by_hand", {})
    market = planted_leaks.market_of(seed)
    plain = SETTINGS.model_copy(update={"learning": SETTINGS.learning.model_copy(update={"features": "reversal_v1"})})
    events = store.collect(STRATEGY, plain, market).events
    planted = planted_leaks.leaks(events, seed)
    names = np.random.default_rng(seed).permutation([*CLEAN, *planted])
    for name in names:
        registered.register(str(name), *(CLEAN | planted)[name][:1], **_options((CLEAN | planted)[name]))
    events = store.collect(STRATEGY, SETTINGS, market).events
    found = leaks.audit(events, market, STRATEGY, SETTINGS, depth=leaks.BEFORE_A_GATE)
    named = {line.feature.removeprefix("mine.") for line in found.accused}
    return named, set(planted), len(found.lines)


def _options(feature: planted_leaks.Feature) -> dict:
    return {"needs": feature.needs, "across": feature.across}


@pytest.mark.calibration
@pytest.mark.parametrize("seed", range(20) if FULL else [0])
def test_every_planted_leak_is_accused_and_no_honest_feature(seed, monkeypatch):
    named, planted, features = accused(seed, monkeypatch)
    assert len(planted) == 6 and features - len(planted) >= 30
    assert named == planted
