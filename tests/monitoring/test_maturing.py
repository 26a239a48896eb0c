"""Every decision gets its outcome once, when it is due, by the parameters that it was made with."""

import datetime as dt
import errno
import json
import shutil
import sqlite3
from dataclasses import replace

import polars as pl
import pytest
import sqlalchemy as sa

from bq import market as markets
from bq import strategies
from bq.core import db, files, params, paths
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.jobs import mature
from bq.market import MarketData
from bq.monitoring import deciding, maturing, outcomes, records
from bq.strategies import store

BUTTERFLY = strategies.get("butterfly")
SMALL = "market.simulation.symbols=3 market.simulation.sessions=640"
OLD = paths.CHECKOUT / "tests" / "made_by_0_1"


def settings_of(overrides: str = ""):
    file = paths.CHECKOUT / "parameters" / "simulated" / "butterfly.yaml"
    return params.load(file, BUTTERFLY.settings, overrides=f"{SMALL} {overrides}")


SETTINGS = settings_of()
NAMESPACE = SETTINGS.namespace


@pytest.fixture(scope="module")
def whole() -> MarketData:
    return markets.load(SETTINGS.market)


@pytest.fixture(scope="module")
def days(whole) -> list[dt.date]:
    return whole.bars["session"].unique().sort().to_list()


@pytest.fixture(scope="module")
def events(whole) -> pl.DataFrame:
    """What training sees of the same market and settings, each session on the schedule or not."""
    every = {symbol: group["session"].to_list()[-120:] for (symbol,), group in whole.bars.group_by("symbol")}
    built = BUTTERFLY.table.build(whole, SETTINGS, every)
    return store.finished(BUTTERFLY, SETTINGS, whole, built, 0).events


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def through(market: MarketData, session: dt.date) -> MarketData:
    """The market as it was at the close of a session."""
    bars = market.bars.filter(pl.col("session") <= session)
    return replace(market, bars=bars, data_hash=files.digest([str(session), market.data_hash]))


def decide(market: MarketData, session: dt.date, settings=SETTINGS, *, hours: int = 1) -> deciding.Decided:
    """A scan of a session so many hours after its close, on bars up to it."""
    cut = through(market, session)
    moment = dt.datetime.combine(session, dt.time(21), dt.UTC) + dt.timedelta(hours=hours)
    made = deciding.decide(BUTTERFLY, settings, cut, session, decided_utc=moment)
    assert made is not None
    return made


def pass_over(market: MarketData) -> maturing.Matured:
    return maturing.mature(NAMESPACE, load=lambda _: market)


def recorded() -> list[tuple]:
    """Every row of outcomes but when it was recorded."""
    names = ("event_id", "revision", "outcome", "label", "source", "data_hash")
    with db.engine().connect() as connection:
        query = sa.select(*(records.outcomes.c[name] for name in names)).order_by("event_id", "revision")
        return [tuple(row) for row in connection.execute(query)]


def never(*_: object, **__: object) -> None:
    pytest.fail("nothing is built again")


# ---- which events, and when


def test_an_outcome_is_the_one_that_training_sees_also_off_the_schedule(home, whole, days, events):
    sessions = days[-100:-95]
    scheduled = {day for days in BUTTERFLY.table.schedule(whole, SETTINGS).values() for day in days}
    assert not scheduled.issuperset(sessions)
    made = [decide(whole, day) for day in sessions]
    assert not any(one.late for one in made)
    found = pass_over(whole)
    assert (found.new, found.open, found.faults) == (15, 0, ())
    counted = outcomes.counted(NAMESPACE)
    known = counted.select("event_id", "t1", "outcome", "label").join(
        events.select("event_id", "t1", "outcome", "label"), on="event_id", suffix="_trained"
    )
    assert len(known) == 15 and known["t1"].equals(known["t1_trained"])
    assert known["outcome"].equals(known["outcome_trained"])
    names = dict(enumerate(BUTTERFLY.task(SETTINGS).classes))
    assert known["label"].to_list() == [names[index] for index in known["label_trained"]]
    assert counted["source"].unique().to_list() == ["bars"], "the market is simulated, and nothing was quoted"


@pytest.mark.parametrize("recorded_due", [True, False], ids=["known", "not recorded, as in 0.1"])
def test_an_event_that_closed_early_does_not_count_until_its_latest_end_has_passed(
    home, whole, days, events, recorded_due
):
    """To take what happens to have closed is informative censoring."""
    early = events.filter(pl.col("session").is_in(days[-90:-60]), (pl.col("t1_due") - pl.col("t1")).dt.total_days() > 9)
    event = early.sort("session").row(0, named=True)
    decide(whole, event["session"])
    if not recorded_due:
        with db.engine().begin() as connection:
            connection.execute(records.decisions.update().values(t1_due=None))
    due = event["t1_due"].date()
    before = days[days.index(due) - 1]
    assert event["t1"].date() < before
    pass_over(through(whole, before))
    assert event["event_id"] not in [row[0] for row in recorded()]
    pass_over(through(whole, due))
    assert event["event_id"] in [row[0] for row in recorded()]


def test_a_decision_is_matured_by_its_own_parameters_whatever_they_are_now(home, whole, days, events):
    """Two universes of rules decide on one session; the outcomes of each are those of its own costs."""
    other = settings_of("costs.spread_near=0.2 costs.spread_middle=0.2 costs.spread_far=0.2")
    session = days[-80]
    mine, theirs = decide(whole, session), decide(whole, session, other, hours=2)
    assert not set(mine.answer["event_id"]) & set(theirs.answer["event_id"])
    pass_over(whole)
    found = {row[0]: row[2] for row in recorded()}
    wanted = {symbol: [session] for symbol in mine.events["symbol"]}
    for settings in (SETTINGS, other):
        built = BUTTERFLY.table.build(whole, settings, wanted).events
        assert len(built) and {row["event_id"]: row["outcome"] for row in built.to_dicts()}.items() <= found.items()


def test_a_scan_that_read_bars_up_to_a_date_is_matured_with_later_ones(home, whole, days):
    session = days[-80]
    decide(whole, session, settings_of(f"market.end={session}"))
    asked = []

    def load(market):
        asked.append(market.end)
        return whole

    assert maturing.mature(NAMESPACE, load=load).new == 3 and asked == [None]


def test_late_scans_are_matured_too_and_counted_nowhere(home, whole, days):
    assert decide(whole, days[-80], hours=100).late
    assert pass_over(whole).new == 3
    assert outcomes.counted(NAMESPACE).is_empty()


# ---- again


def test_a_second_pass_builds_nothing_and_changes_no_row(home, whole, days, monkeypatch):
    decide(whole, days[-80])
    pass_over(whole)
    rows = recorded()
    decide(whole, days[-80], hours=3)
    figures = outcomes.counted(NAMESPACE)
    monkeypatch.setattr(maturing, "ended", never)
    assert pass_over(whole)[1:4] == (0, 0, 0)
    assert recorded() == rows and outcomes.counted(NAMESPACE).equals(figures)


def test_newer_bars_alone_build_only_what_has_become_due(home, whole, days, monkeypatch):
    decide(whole, days[-90])
    pass_over(through(whole, days[-40]))
    rows = recorded()
    assert len(rows) == 3
    monkeypatch.setattr(maturing, "ended", never)
    pass_over(through(whole, days[-30]))
    assert recorded() == rows


def revised(market: MarketData, symbol: str, factor: pl.Expr) -> MarketData:
    """The market with other prices of one symbol."""
    prices = [
        pl.when(pl.col("symbol") == symbol).then(pl.col(one) * factor).otherwise(one) for one in ("open", "close")
    ]
    bars = market.bars.with_columns(*(price.alias(name) for price, name in zip(prices, ("open", "close"), strict=True)))
    return replace(market, bars=bars, data_hash=files.digest(["revised", market.data_hash]))


def test_history_that_changed_adds_a_revision_of_the_outcomes_it_changed(home, whole, days):
    session = days[-80]
    made = decide(whole, session)
    pass_over(whole)
    before = recorded()
    (event,) = made.answer.filter(pl.col("symbol") == "SIM01")["event_id"]
    later = pl.when(pl.col("session") > session).then(1.01).otherwise(1.0)
    other = revised(whole, "SIM01", later)
    assert pass_over(other)[1:3] == (0, 1)
    added = [row for row in recorded() if row not in before]
    assert [(row[0], row[1]) for row in added] == [(event, 1)] and len(recorded()) == 4
    (was,) = [row[2] for row in before if row[0] == event]
    assert added[0][2] != was
    counted = outcomes.counted(NAMESPACE).filter(pl.col("event_id") == event)
    assert counted.select("outcome", "revision").row(0) == (added[0][2], 1)
    for _ in range(2):
        assert pass_over(other)[1:3] == (0, 0)
    assert pass_over(whole)[1:3] == (0, 1), "and back again is a revision too"


def test_a_history_in_another_unit_changes_no_outcome(home, whole, days):
    """As after a dividend, by which every earlier price is adjusted: a rounding apart is the same outcome."""
    decide(whole, days[-80])
    pass_over(whole)
    rows = recorded()
    scaled = whole.bars.with_columns(pl.col("adj") * 0.987)
    assert pass_over(replace(whole, bars=scaled, data_hash="scaled"))[1:3] == (0, 0)
    assert recorded() == rows


@pytest.mark.parametrize("damage", ["lost", "damaged", "of another kind"])
def test_what_was_compared_may_be_lost_and_only_costs_another_look(home, whole, days, damage):
    decide(whole, days[-80])
    pass_over(whole)
    rows, (state,) = recorded(), (home / "data" / maturing.STATE).iterdir()
    kept = state.read_text()
    if damage == "lost":
        state.unlink()
    else:
        state.write_text("{" if damage == "damaged" else "[1]")
    assert pass_over(whole)[1:3] == (0, 0)
    assert recorded() == rows and json.loads(state.read_text()) == json.loads(kept)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_passes_at_once_record_each_outcome_once(kind, home, whole, days, monkeypatch, request):
    if kind == "postgresql":
        request.getfixturevalue("database")
    decide(whole, days[-80])
    found, other = maturing._found, []

    def meanwhile(*arguments):
        mine = found(*arguments)
        if not other:
            other.append(None)
            other[0] = pass_over(whole)
        return mine

    monkeypatch.setattr(maturing, "_found", meanwhile)
    pass_over(whole)
    assert other[0].new == 3 and [row[1] for row in recorded()] == [0, 0, 0]
    rows = recorded()
    pass_over(whole)
    assert recorded() == rows


# ---- faults


def test_a_database_that_is_held_is_one_sentence_and_the_next_pass_completes(home, whole, days, monkeypatch):
    decide(whole, days[-80])
    db.engine().dispose()
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    holder = sqlite3.connect(home / "data" / "bq.db", isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(BQError, match=r"must be reachable and writable, but: database is locked"):
        pass_over(whole)
    holder.execute("commit")
    holder.close()
    assert recorded() == [] and pass_over(whole)[1:4] == (3, 0, 0)


def test_a_disk_that_is_full_after_the_outcomes_loses_none_and_the_next_pass_completes(home, whole, days, monkeypatch):
    decide(whole, days[-80])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(maturing.files, "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            pass_over(whole)
    rows = recorded()
    assert len(rows) == 3 and not (home / "data" / maturing.STATE).exists()
    assert pass_over(whole)[1:4] == (0, 0, 0) and recorded() == rows


# ---- in other jobs


def test_a_retrain_matures_with_the_market_that_it_has_read(home, whole, days, monkeypatch):
    decide(whole, days[-80])
    monkeypatch.setattr(maturing.markets, "load", never)
    assert mature.kept_up(SETTINGS, whole) == [] and len(recorded()) == 3


def test_a_retrain_goes_on_and_says_so_where_decisions_cannot_be_matured(home, whole, days):
    decide(whole, days[-80])
    with db.engine().begin() as connection:
        connection.execute(records.scans.update().values(parameters={"strategy": "butterflies"}))
    (said,) = mature.kept_up(SETTINGS, whole)
    assert said.startswith("3 decided events cannot be matured: STRATEGY must name a strategy")


# ---- what cannot be matured


def test_an_event_that_came_to_nothing_is_said_and_tried_again_only_with_other_bars(home, whole, days, monkeypatch):
    """As where a symbol has no bar any more to be entered at."""
    decide(whole, days[-80])
    gone = whole.bars.filter(~((pl.col("symbol") == "SIM02") & (pl.col("session") > days[-80])))
    halted = replace(whole, bars=gone, data_hash="halted")
    found = pass_over(halted)
    assert (found.new, found.open, found.came_to_nothing) == (2, 1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(maturing, "ended", never)
        assert pass_over(halted).came_to_nothing == 1
    assert pass_over(whole)[1:5] == (1, 0, 0, 0)


def test_a_symbol_that_left_the_market_stays_open(home, whole, days):
    decide(whole, days[-80])
    without = replace(whole, bars=whole.bars.filter(pl.col("symbol") != "SIM02"), data_hash="without")
    assert pass_over(without)[1:4] == (2, 0, 1)


def test_parameters_that_nobody_can_read_any_more_concern_their_own_decisions(home, whole, days):
    lost = decide(whole, days[-81])
    decide(whole, days[-80])
    with db.engine().begin() as connection:
        same = records.scans.c.scan_id == lost.scan_id
        connection.execute(records.scans.update().where(same).values(parameters={"strategy": "butterflies"}))
    found = pass_over(whole)
    assert (found.new, found.open) == (3, 3)
    assert [fault.events for fault in found.faults] == [3] and "did you mean `butterfly`?" in found.faults[0].sentence
    assert [line.strip() for line in mature.told(found)][1] == f"3 events not built: {found.faults[0].sentence}"


def test_a_market_that_cannot_be_read_is_a_fault_and_leaves_the_others(home, whole, days):
    session = days[-80]
    decide(whole, session)
    decide(whole, session, settings_of("market.calendar=XLON costs.spread_near=0.2"))

    def load(market):
        if market.calendar == "XLON":
            raise markets.BadData("no bars")
        return whole

    found = maturing.mature(NAMESPACE, load=load)
    assert (found.new, found.open, found.faults) == (3, 3, (maturing.Fault(3, "no bars"),))


# ---- decisions of before


def test_a_scan_of_an_earlier_version_is_matured_under_the_id_that_it_had(home, whole, days, events):
    """A later version has a parameter more, which changes the digest in an event's id, and no event."""
    made = decide(whole, days[-80])
    with db.engine().begin() as connection:
        (held,) = connection.execute(sa.select(records.scans.c.parameters)).scalars()
        older = {**held, "learning": {name: value for name, value in held["learning"].items() if name != "device"}}
        connection.execute(records.scans.update().values(parameters=older))
        connection.execute(sa.text("update decisions set event_id = 'old-' || symbol, variant = 'butterfly-older'"))
    assert pass_over(whole).new == 3
    known = dict(events.select("event_id", "outcome").rows())
    expected = {f"old-{row['symbol']}": known[row["event_id"]] for row in made.answer.to_dicts()}
    assert {row[0]: row[2] for row in recorded()} == expected


def test_decisions_of_0_1_are_matured_by_the_parameters_of_the_run_before_them(tmp_path, monkeypatch):
    """They recorded no parameters. Moved to an earlier session, as the market of that home ends with the scans."""
    home = shutil.copytree(OLD, tmp_path / "home")
    monkeypatch.setenv("BQ_HOME", str(home))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    record = files.read_json(home / "outputs" / "20261129T053209Z_butterfly-simulated" / "run.json")
    settings = BUTTERFLY.settings.recorded(record["parameters"])
    market = markets.load(settings.market)
    session = market.bars["session"].unique().sort()[-100]
    events = store.at(BUTTERFLY, settings, market, session)
    with sqlite3.connect(home / "data" / "bq.db") as connection:
        for symbol, score in events.select("symbol", "score").rows():
            connection.execute(
                "update decisions set session = ?, score = ?, event_id = ? where symbol = ? and session = '2018-09-20'",
                (str(session), score, f"old-{symbol}", symbol),
            )
    found = maturing.mature(Namespace("butterfly", simulated=True))
    assert (found.new, found.open, found.faults) == (8, 8, ())
    expected = {f"old-{symbol}": value for symbol, value in events.select("symbol", "outcome").rows()}
    assert {row[0]: row[2] for row in recorded()} == expected
    assert outcomes.counted(found.namespace).is_empty(), "whether they were in time is not known"
