"""A replay trades what it decides: through ledger and dry-run broker of its own world, beside a shadow book a track."""

import polars as pl
import pytest
from replayed import Planted, planted

from bq.core import world
from bq.core.settings import DryRun, Track
from bq.jobs import replay_against, replaying
from bq.jobs.replaying import Replayed
from bq.trading import against, gates, positions
from bq.trading.against import Cause

DAYS = 70
FAULTLESS = DryRun(partial_fills=0.0, rejects=0.0, lost_answers=0.0)


def traded_by(small: Planted, tracks: list[Track], faults: DryRun = FAULTLESS) -> Planted:
    """The same with other tracks and another broker."""
    trading = small.settings.trading.model_copy(update={"tracks": tracks, "dry_run": faults})
    return small._replace(settings=small.settings.model_copy(update={"trading": trading}))


def replay(small: Planted) -> Replayed:
    return replaying.replay(small.strategy, small.settings, small.market, small.days[0], small.days[DAYS - 1])


@pytest.fixture(scope="module")
def market() -> Planted:
    """A planted market, without attempts: the rule score decides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying.Walk, "retrain", lambda self, session: None)
        yield planted("breakout")


@pytest.fixture(scope="module")
def alone(market) -> Replayed:
    """One track that trades every symbol."""
    with world.own():
        return replay(traded_by(market, [Track(name="Only", share=1.0, decides="rule")]))


def test_a_track_alone_makes_in_the_ledger_what_its_shadow_book_makes(alone):
    made = alone.traded
    apart = (made.tracks["pnl"] - made.shadows["pnl"]).abs()
    assert apart.max() < 0.005 and made.tracks["n_open"].to_list() == made.shadows["n_open"].to_list()
    assert made.reconciled == len(made.days) == DAYS
    assert len(made.closed) == len(made.journal.results.drop_nulls("left")) >= 3
    assert made.closed["pnl"].sum() == pytest.approx(made.journal.results.drop_nulls("left")["pnl"].sum())


def test_positions_of_the_ledger_sum_to_what_the_tracks_made(alone):
    made = alone.traded
    assert made.journal.results["pnl"].sum() == pytest.approx(made.tracks["pnl"].sum(), abs=0.01)
    assert made.tracks["equity"][-1] == pytest.approx(1e6 + made.tracks["pnl"].sum())


def test_a_book_that_is_fully_invested_is_formed_anew_each_period_in_ledger_and_shadow(market):
    """What is sold pays for what is bought at the same open, also where a rise overnight left no cash at all."""
    small = traded_by(planted("forecast"), [Track(name="Only", share=1.0, decides="rule")])
    portfolio = small.settings.portfolio.model_copy(update={"kind": "long_only"})
    small = small._replace(settings=small.settings.model_copy(update={"portfolio": portfolio}))
    with world.own():
        made = replay(small).traded
    formed = made.journal.meant.filter(pl.col("refusal").is_null())["session"].unique().sort().to_list()
    places = [made.days.index(session) for session in formed]
    holding = small.settings.temporal.prediction_horizon_days
    assert places == list(range(0, DAYS, holding)) and not len(made.journal.meant.drop_nulls("refusal"))
    apart = (made.tracks["pnl"] - made.shadows["pnl"]).abs()
    assert apart.max() < 0.005 and made.reconciled == DAYS


def test_at_a_broker_that_fails_every_session_is_reconciled_and_both_tracks_are_kept_apart(market):
    faults = DryRun(partial_fills=0.3, rejects=0.1, lost_answers=0.2)
    tracks = [Track(name=name, share=0.5, decides="rule") for name in ("One", "Two")]
    with world.own():
        small = traded_by(market, tracks, faults)
        made = replay(small).traded
        sums = {
            one.owner.track: one.pnl / 1e4
            for one in positions.accounts(f"dry-run.{small.settings.namespace}", str(small.settings.namespace))
        }
    assert made.reconciled == DAYS
    for name in ("One", "Two"):
        assert made.tracks.filter(track=name)["pnl"].sum() == pytest.approx(sums[name], abs=0.01)
        assert made.shadows.filter(track=name)["pnl"].to_list() == made.shadows.filter(track="One")["pnl"].to_list()
    held = made.journal.results.group_by("position").agg(pl.col("track").n_unique())
    assert held["track"].to_list() == [1] * len(held)


def test_against_the_ledger_it_agrees_and_a_missing_scan_is_named(market, alone, monkeypatch, caplog):
    """The ledger of a home that was traded day by day is that of another replay; in a second home a day is missing."""
    small = traded_by(market, [Track(name="Only", share=1.0, decides="rule")])
    opened = alone.traded.journal.meant.filter(pl.col("refusal").is_null(), action="open")["session"]
    left_out = opened[len(opened) // 2]
    monkeypatch.setattr("bq.core.log.LINE_SECONDS", 0.0)
    caplog.set_level("INFO", logger="bq")

    with world.own(), pytest.MonkeyPatch.context() as patch:
        day = replaying.Walk.day

        def skipping(self, session):
            if session == left_out:
                self.events.pop(session)
            day(self, session)

        patch.setattr(replaying.Walk, "day", skipping)
        replay(small)
        booked = replay_against.booked(small.settings)
    assert [line.rpartition(",")[0] for line in caplog.messages if line.startswith("replay: ")] == [
        f"replay: {place} of {DAYS}" for place in range(DAYS + 1)
    ]
    same = against.compare(replay_against.replayed(alone.traded), replay_against.replayed(alone.traded), *_ends(alone))
    assert (same.first, same.differences) == (None, ())
    found = replay_against.compare(alone.traded, booked)
    first = found.differences[0]
    assert first.cause == Cause.NO_SCAN and found.first == first.session > left_out
    assert str(found.first) in replay_against.headline(found) and "make scan" in replay_against.headline(found)


def _ends(made: Replayed):
    return made.traded.days[0], made.traded.days[-1]


def test_the_page_says_what_was_traded_refused_and_made(market, alone):
    from bq.jobs import replay_traded

    small = traded_by(market, [Track(name="Only", share=1.0, decides="rule")])
    found = dict(replay_traded.parts(alone.traded, small.settings))
    told = "\n".join(map(repr, found["What the tracks traded"]))
    assert f"{DAYS} of {DAYS} sessions" in told and "Only" in told
    refused = alone.traded.journal.meant["refusal"].drop_nulls()
    said = "\n".join(map(repr, found["What was not traded, and why"]))
    assert len(refused) and (str(refused.value_counts(sort=True)[0, "count"]) in said)
    assert gates.Refusal.ALREADY_HELD not in said  # words, no names of the code
