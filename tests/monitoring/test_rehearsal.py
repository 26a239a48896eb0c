"""A model is watched over a change of its market as if it had been deployed before it."""

import datetime as dt

import pytest

from bq import strategies
from bq.audit import calibration
from bq.audit.calibration import Market
from bq.core import params, paths, world
from bq.core.errors import BadData
from bq.monitoring import drift, rehearsal, windows

BREAKOUT = strategies.get("breakout")
SMALL = (
    "market.simulation.symbols=10 market.simulation.sessions=2000 market.simulation.changes=2014-06-02 "
    "learning.folds=2 learning.hyperparameters.lightgbm.n_estimators=10 "
)


def place():
    file = paths.CHECKOUT / "parameters" / "simulated" / "breakout_drifting.yaml"
    settings = params.load(file, BREAKOUT.settings, overrides=SMALL)
    data = calibration.simulated(settings, 3)
    return Market(3, data, calibration.collected(BREAKOUT, settings, data)), settings


def test_it_is_checked_at_the_end_of_every_window_by_what_was_known_then(monkeypatch):
    """Nothing that came later is looked at, and an alarm is dated by its window's end."""
    market, settings = place()
    seen, said, check = [], [], drift.check

    def spied(*of, counted, **more):
        seen.append(counted)
        made = check(*of, counted=counted, **more)
        said.append(made[0].checks)
        return made

    monkeypatch.setattr(drift, "check", spied)
    with world.own():
        found = rehearsal.watch(market, BREAKOUT, settings)
    changes = dt.date(2014, 6, 2)
    assert (found.changes, found.first) == (changes, changes - dt.timedelta(days=730))
    ends = [one["session"].max() for one in seen]
    assert [one["session"].n_unique() for one in seen] == [windows.SESSIONS * n for n in range(1, len(seen) + 1)]
    for end, one in zip(ends, seen, strict=True):
        assert one["session"].min() >= found.first and one["model_id"].n_unique() == 1
        known = one["t1_due"].dt.date() <= end
        assert one.filter(~known)["outcome"].null_count() == (~known).sum()
        assert one.filter(known)["outcome"].null_count() == 0
    raised = [(one.what.value, end) for end, made in zip(ends, said, strict=True) for one in made if one.alarm]
    assert sorted((kind, end) for kind, days in found.alarms.items() for end in days) == sorted(raised)
    assert found.last == ends[-1] and {"input", "error_cusum"} <= set(found.alarms)


def test_a_market_that_does_not_change_cannot_be_watched():
    market, settings = place()
    still = settings.market.simulation.model_copy(update={"changes": None})
    settings = settings.model_copy(update={"market": settings.market.model_copy(update={"simulation": still})})
    with pytest.raises(BadData, match="changes must be a date"):
        rehearsal.watch(market, BREAKOUT, settings)
