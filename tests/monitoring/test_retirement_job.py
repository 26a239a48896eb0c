"""`make retrain` retires what its errors refute before anything else, then says how far the evidence since is."""

from types import SimpleNamespace

import polars as pl
import pytest
from test_refuted import HERE, turned_at
from toy_world import SETTINGS

from bq.core import db
from bq.jobs import mature, retrain, trigger
from bq.jobs.run import protocol
from bq.monitoring import checks, refuted
from bq.serving import registry
from bq.strategies import store


@pytest.fixture
def asked(world, later, monkeypatch):
    """What `make retrain` is asked with on the evening of the last week, in a world that turned."""
    here = world(turned_at)
    data = SimpleNamespace(**vars(here.market), data_hash="da7a", findings=pl.DataFrame())
    monkeypatch.setattr(store, "market_data", lambda _: data)
    monkeypatch.setattr(retrain, "describe_market", lambda *_: None)
    monkeypatch.setattr(mature, "kept_up", lambda *_: [])
    seen = []

    def collected(strategy, settings, market):
        events = store.begun(turned_at(later), settings)
        seen.append(settings.learning.since)
        return store.Collection(events, events.clear(), "da7a", 0)

    monkeypatch.setattr(store, "collect", collected)
    monkeypatch.setattr(trigger, "found", lambda *_: [])
    monkeypatch.setattr(trigger, "state", lambda *_: None)
    monkeypatch.setattr(retrain, "keep_distances", lambda *_: None)
    monkeypatch.setattr(retrain, "_told_idle", lambda *_: "no trigger holds")
    request = SimpleNamespace(strategy=here.strategy, settings=SETTINGS, quick=False, force=False)
    return request, seen


def test_a_refuted_model_is_retired_and_the_rest_is_done_on_events_since_the_change(asked):
    request, seen = asked
    model = registry.pointer(HERE).model_id
    with protocol.lock(HERE):
        told = retrain.once(request)
    assert registry.pointer(HERE) is None
    assert told.startswith(f"retired     model {model} no longer decides: its errors are beyond their limit")
    assert told.endswith("no trigger holds")
    assert seen == [refuted.since(HERE)]  # once: nothing was trained on what the retired model had learnt from
    assert [alert.kind for alert in checks.opened(HERE)] == [refuted.ALERT]
    with protocol.lock(HERE):
        assert retrain.once(request) == "no trigger holds"
    assert [row["kind"] for row in registry.history(HERE)] == ["retired", "deployed"]
    db.close()
