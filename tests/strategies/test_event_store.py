"""Events are built once, extended as bars arrive, and rebuilt where history changed or files are damaged."""

import contextlib
import dataclasses
import datetime as dt
import json
import logging
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from event_samples import BUTTERFLY, butterfly_settings, market_of, until, walk
from filelock import FileLock

from bq.core import files, paths
from bq.core.errors import BadData
from bq.strategies import event_set, store
from bq.strategies.events import conform
from bq.strategies.events import event_id as make_id

RULES = "analysis.history_sessions=300 events.every_weeks=2 events.first=2016-06-01"


@pytest.fixture(scope="module")
def bars():
    """Three symbols over 600 sessions; GONE ends early."""
    gone = walk("GONE", 600, seed=3)
    return pl.concat([walk("ONE", 600, seed=1), walk("TWO", 600, seed=2), gone[:470]])


@pytest.fixture(scope="module")
def plan():
    return butterfly_settings(RULES)


@pytest.fixture
def collect(plan):
    """Collect on some bars, by the module's plan."""
    return lambda bars, settings=plan: store.collect(BUTTERFLY, settings, market_of(bars))


@pytest.fixture
def messages(monkeypatch):
    """What the package logs."""
    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger = logging.getLogger("bq")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    yield found
    logger.manager._clear_cache()


@pytest.fixture
def spied(monkeypatch):
    """The sessions that the strategy is asked to build, a dict for each call."""
    calls = []
    build = BUTTERFLY.table.build

    def spying(market, settings, wanted):
        calls.append({symbol: days for symbol, days in wanted.items() if days})
        return build(market, settings, wanted)

    object.__setattr__(BUTTERFLY.table, "build", spying)
    yield calls
    object.__setattr__(BUTTERFLY.table, "build", build)


def folder(plan) -> os.PathLike:
    return next(paths.events("butterfly").iterdir())


def cut_at(bars: pl.DataFrame, number: int) -> pl.DataFrame:
    return until(bars, bars.filter(pl.col("symbol") == "ONE")["session"][number])


def test_a_second_collection_of_the_same_bars_builds_nothing(collect, bars, spied):
    first = collect(bars)
    second = collect(bars)
    assert 0 < first.events["t1"].null_count() < 20 and first.built == len(first.events)
    assert second.built == 0 and len(spied) == 1
    assert second.data_hash == first.data_hash
    assert second.events.equals(first.events, null_equal=True)
    assert second.refused.equals(first.refused)


def test_a_run_hands_its_events_to_its_notebooks_and_keeps_no_copy(collect, bars, tmp_path_factory):
    whole, folder = collect(bars), tmp_path_factory.mktemp("run")
    assert store.received(folder, "events") is None
    with store.handed_over(whole, market_of(bars), folder):
        assert store.received(folder, "events").equals(whole.events, null_equal=True)
        assert store.received(folder, "refused").equals(whole.refused)
    assert list(folder.iterdir()) == []


def test_what_a_run_reads_back_after_its_notebooks_is_what_it_let_go_of(collect, bars, tmp_path_factory):
    whole, market = collect(bars), market_of(bars)
    let_go = [weakref.ref(frame) for frame in (whole.events, market.bars)]
    expected = [whole.events.hash_rows(), market.bars.hash_rows(), market.data_hash]
    with store.handed_over(whole, market, tmp_path_factory.mktemp("run")) as returned:
        del whole, market
        assert [found() for found in let_go] == [None, None], "the notebooks have the memory"
        again, market = returned()
    assert again.events.hash_rows().equals(expected[0]) and market.bars.hash_rows().equals(expected[1])
    assert market.data_hash == expected[2]


def test_new_bars_build_new_events_and_close_open_ones_with_the_same_ids(collect, bars, spied):
    early = collect(cut_at(bars, 520))
    late = collect(bars)
    joined = early.events.join(late.events, on="event_id", suffix="_late")
    assert len(joined) == len(early.events) < len(late.events)
    was_open = joined.filter(pl.col("t1").is_null())
    assert len(was_open) > 0 and was_open["t1_late"].null_count() == 0
    closed = early.events.filter(pl.col("t1").is_not_null())
    asked = {(symbol, day) for symbol, days in spied[1].items() for day in days}
    assert asked & set(closed.select("symbol", "session").iter_rows()) == set()
    assert late.built == len(late.events) - len(closed)


def test_extending_gives_what_building_at_once_gives(collect, bars, tmp_path, monkeypatch):
    collect(cut_at(bars, 450))
    collect(cut_at(bars, 520))
    extended = collect(bars)
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "another"))
    at_once = collect(bars)
    assert extended.data_hash == at_once.data_hash
    assert extended.events.equals(at_once.events, null_equal=True)
    assert extended.refused.equals(at_once.refused)


def test_a_changed_history_rebuilds_that_symbol_only(collect, bars, spied, messages):
    before = collect(bars)
    touched = (pl.col("symbol") == "TWO") & (pl.col("session") == dt.date(2016, 3, 1))
    after = collect(bars.with_columns(pl.when(touched).then(pl.col("close") * 1.01).otherwise("close").alias("close")))
    assert "the history of some symbols changed, and their events are computed again: TWO" in messages
    closed = before.events.filter(pl.col("t1").is_not_null(), pl.col("symbol") == "ONE")["session"].to_list()
    assert not set(closed) & set(spied[1].get("ONE", []))
    assert len(spied[1]["TWO"]) == len(before.events.filter(pl.col("symbol") == "TWO"))
    assert after.events["event_id"].to_list() == before.events["event_id"].to_list()
    same = pl.col("symbol") != "TWO"
    assert after.events.filter(same).equals(before.events.filter(same), null_equal=True)
    assert after.data_hash != before.data_hash


def test_bars_that_end_earlier_are_built_again_and_know_nothing_of_the_future(collect, bars, tmp_path, monkeypatch):
    collect(bars)
    early = collect(cut_at(bars, 480))
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "another"))
    assert early.data_hash == collect(cut_at(bars, 480)).data_hash


def test_events_of_a_symbol_that_ended_are_closed_at_its_last_price(collect, bars):
    events = collect(bars).events.filter(pl.col("symbol") == "GONE")
    assert "last price" in set(events["exit_reason"])
    entered = events.filter(pl.col("entry_session").is_not_null())
    assert entered["t1"].null_count() == 0
    assert (entered["t1"] <= entered["t1_due"]).all()


DAMAGE = {
    "state-missing": lambda folder: (folder / "state.json").unlink(),
    "state-empty": lambda folder: (folder / "state.json").write_text(""),
    "state-half": lambda folder: (folder / "state.json").write_bytes((folder / "state.json").read_bytes()[:70]),
    "state-list": lambda folder: (folder / "state.json").write_text("[]"),
    "state-binary": lambda folder: (folder / "state.json").write_bytes(b"\xff\x00\xfe"),
    "state-date": lambda folder: (folder / "state.json").write_text(
        json.dumps({**files.read_json(folder / "state.json"), "through": "2016-99-99"})
    ),
    "events-missing": lambda folder: (folder / "events.parquet").unlink(),
    "events-empty": lambda folder: (folder / "events.parquet").write_bytes(b""),
    "events-half": lambda folder: (folder / "events.parquet").write_bytes(
        (folder / "events.parquet").read_bytes()[:999]
    ),
    "refused-binary": lambda folder: (folder / "refused.parquet").write_bytes(b"PAR1nothing"),
    "events-swapped": lambda folder: (folder / "events.parquet").write_bytes((folder / "refused.parquet").read_bytes()),
    "events-older": lambda folder: files.write_parquet(
        folder / "events.parquet", pl.read_parquet(folder / "events.parquet")[:-30]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_store_is_built_again(collect, plan, bars, damage):
    before = collect(bars)
    damage(folder(plan))
    healed = collect(bars)
    assert healed.built == len(healed.events)
    assert healed.data_hash == before.data_hash
    assert healed.events.equals(before.events, null_equal=True)
    assert collect(bars).built < healed.built


@pytest.mark.parametrize("step", [1, 2, 3], ids=["before-events", "before-refused", "before-state"])
def test_a_store_killed_between_two_files_heals(collect, bars, monkeypatch, step):
    collect(cut_at(bars, 520))
    written = []
    replacing = files.replacing

    def killed(path):
        written.append(path)
        if len(written) == step:
            raise KeyboardInterrupt
        return replacing(path)

    monkeypatch.setattr(files, "replacing", killed)
    with pytest.raises(KeyboardInterrupt):
        collect(bars)
    monkeypatch.setattr(files, "replacing", replacing)
    healed = collect(bars)
    monkeypatch.setenv("BQ_HOME", str(paths.home() / "another"))
    assert healed.data_hash == collect(bars).data_hash


def test_a_subset_of_the_symbols_has_a_store_of_its_own(collect, bars):
    collect(bars)
    subset = collect(bars.filter(pl.col("symbol") == "ONE"), butterfly_settings(RULES + " market.symbols=[ONE]"))
    assert subset.built == len(subset.events)
    assert len(list(paths.events("butterfly").iterdir())) == 2
    assert collect(bars).built < 20


def test_settings_that_make_no_event_share_a_store(collect, bars):
    collect(bars)
    again = collect(
        bars, butterfly_settings(RULES + " learning.folds=3 policy.k=2 market.end=2030-01-01 learning.seed=9")
    )
    assert again.built < 20 and len(list(paths.events("butterfly").iterdir())) == 1


def test_stores_of_other_code_are_removed_and_what_is_not_a_store_stays(collect, bars, monkeypatch):
    kept = paths.events("butterfly") / "notes"
    kept.mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr(event_set, "code_digest", lambda: "0" * 16)
        collect(bars)
    assert any(path.name.startswith("0" * 16) for path in paths.events("butterfly").iterdir())
    collect(bars)
    names = sorted(path.name for path in paths.events("butterfly").iterdir())
    assert len(names) == 2 and "notes" in names and not any(name.startswith("0" * 16) for name in names)


def test_the_hash_of_events_is_of_their_content(collect, plan, bars):
    features, task = BUTTERFLY.features(plan), BUTTERFLY.task(plan)
    events = collect(bars).events
    assert store.events_hash(events, features, task) == collect(bars).data_hash
    assert store.events_hash(events.reverse(), features, task) == store.events_hash(events, features, task)
    assert store.events_hash(events.drop("structure"), features, task) == store.events_hash(events, features, task)
    other = events.with_columns(pl.col("outcome") * (1 + 1e-12))
    assert store.events_hash(other, features, task) != store.events_hash(events, features, task)


def test_collected_events_satisfy_the_contract_and_carry_their_detail(collect, plan, bars):
    events = collect(bars).events
    contract = conform(events, BUTTERFLY.features(plan), BUTTERFLY.task(plan))
    assert events.columns[: len(contract.columns)] == contract.columns
    assert {"structure", "lower", "body", "upper", "expiry", "exit_reason", "level"} <= set(events.columns)
    row = events.row(0, named=True)
    assert row["event_id"] == make_id("butterfly", row["symbol"], row["t0"].isoformat(), row["variant"])


def test_overlapping_labels_of_a_symbol_share_their_weight(collect, bars):
    events = collect(bars).events
    alone = events.filter(pl.col("symbol") == "ONE")
    spans = list(alone.select("t0", "t1_due").iter_rows())
    closes = sorted({close for span in spans for close in span})
    assert len(closes) > 20
    touching = [sum(a < d and c < b for c, d in spans) for a, b in spans]
    assert np.corrcoef(touching, alone["weight"])[0, 1] < 0
    assert events["weight"].is_between(0, 1, closed="right").all()


def test_one_session_is_built_without_being_stored(plan, bars):
    market = market_of(bars)
    session = bars.filter(pl.col("symbol") == "ONE")["session"][-1]
    events = store.at(BUTTERFLY, plan, market, session)
    assert set(events["symbol"]) == {"ONE", "TWO"} and events["t1"].null_count() == 2
    assert not paths.events("butterfly").exists()


def test_one_session_gives_the_event_that_the_collection_has(collect, plan, bars):
    events = collect(bars).events
    session = events["session"][40]
    alone = store.at(BUTTERFLY, plan, market_of(bars), session)
    together = events.filter(pl.col("session") == session)
    assert alone.drop("weight").equals(together.drop("weight"), null_equal=True)


def test_a_session_at_which_nothing_can_be_analysed_gives_no_events(plan, bars):
    assert store.at(BUTTERFLY, plan, market_of(bars), bars["session"][5]).is_empty()


def test_a_session_without_bars_is_refused_and_the_nearest_is_named(plan, bars):
    with pytest.raises(BadData, match=r"must be a session with bars, but 2015-01-03 .*; the nearest is 2015-01-02"):
        store.at(BUTTERFLY, plan, market_of(bars), dt.date(2015, 1, 3))


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("events.first=2030-01-01", "no date is scheduled"),
        ("analysis.history_sessions=599", "dates: fewer than 599 sessions"),
    ],
    ids=["no-date", "no-history"],
)
def test_bars_that_give_no_event_are_refused_with_the_reasons(collect, bars, rules, says):
    with pytest.raises(BadData, match=says):
        collect(cut_at(bars, 590), butterfly_settings(f"{RULES} {rules}"))


def test_new_dates_that_are_all_refused_leave_the_events_as_they_are(collect, bars):
    gone, young = (bars.filter(pl.col("symbol") == name) for name in ("GONE", "TWO"))
    market = pl.concat([gone, young[400:]])  # the young symbol has too little history throughout
    early = collect(until(market, young["session"][560]))
    late = collect(market)
    assert early.events["t1"].null_count() == 0 and late.built == 0
    assert late.events.equals(early.events, null_equal=True)
    assert len(late.refused) > len(early.refused) and late.data_hash == early.data_hash


def ends_known_by(events: pl.DataFrame, bars: pl.DataFrame) -> bool:
    """Whether no outcome lies beyond the last bar."""
    return events["t1"].max().date() <= bars["session"].max()


def test_tables_that_another_writer_put_in_place_before_the_state_never_reach_a_reader(
    collect, plan, bars, monkeypatch
):
    """A writer that takes no lock: its tables know later bars than the state that is written over them."""
    early, late = cut_at(bars, 480), bars
    expected = collect(early)
    collect(late)
    theirs = {name: (folder(plan) / name).read_bytes() for name in event_set.TABLES}
    (folder(plan) / "state.json").unlink()
    replacing = files.replacing

    @contextlib.contextmanager
    def another(path):
        with replacing(path) as temporary:
            yield temporary
        if path.name == event_set.TABLES[-1]:
            for name, content in theirs.items():
                (path.parent / name).write_bytes(content)

    monkeypatch.setattr(files, "replacing", another)
    collect(early)
    monkeypatch.setattr(files, "replacing", replacing)
    torn = collect(early)
    assert ends_known_by(torn.events, early) and torn.built == len(torn.events), "built again"
    assert torn.data_hash == expected.data_hash
    assert collect(early).data_hash == expected.data_hash


def test_who_began_before_another_stored_leaves_what_that_one_stored(collect, plan, bars, monkeypatch):
    early, late = cut_at(bars, 480), bars
    build, during = BUTTERFLY.table.build, []

    def slow(market, settings, wanted):
        built = build(market, settings, wanted)
        if not during:
            during.append(None)
            during.append(collect(early))  # begins and ends while the first builds
        return built

    object.__setattr__(BUTTERFLY.table, "build", slow)
    try:
        first = collect(late)
    finally:
        object.__setattr__(BUTTERFLY.table, "build", build)
    assert ends_known_by(during[1].events, early)
    assert files.read_json(folder(plan) / "state.json")["through"] == str(early["session"].max())
    assert collect(early).built == 0, "what it stored is whole"
    assert collect(late).data_hash == first.data_hash


def test_without_the_lock_of_the_set_events_are_built_and_not_stored(collect, plan, bars, monkeypatch, messages):
    early = cut_at(bars, 480)
    stored = collect(early)
    state = (folder(plan) / "state.json").read_bytes()
    monkeypatch.setattr(event_set, "LOCK_SECONDS", 0)
    with FileLock(folder(plan) / event_set.LOCK):
        late = collect(bars)
        assert collect(early).data_hash == stored.data_hash
    assert (folder(plan) / "state.json").read_bytes() == state
    assert any("cannot be locked" in message for message in messages)
    assert collect(bars).data_hash == late.data_hash


def test_a_set_that_cannot_be_locked_is_read_all_the_same(collect, plan, bars):
    stored = collect(bars)
    (folder(plan) / event_set.LOCK).unlink()
    (folder(plan) / event_set.LOCK).mkdir()
    again = collect(bars)
    assert (again.built, again.data_hash) == (0, stored.data_hash)


COLLECTING = """
import sys, pickle
from bq.strategies import event_set, store
sys.path[:0] = sys.argv[1:2]
from event_samples import BUTTERFLY, butterfly_settings, market_of
bars = pickle.load(sys.stdin.buffer)
for _ in range(3):
    events = store.collect(BUTTERFLY, butterfly_settings(sys.argv[2]), market_of(bars)).events
    assert events["t1"].max().date() <= bars["session"].max(), "an outcome beyond the last bar"
"""


def test_processes_that_collect_at_once_with_other_last_bars_know_nothing_of_each_other_s_future(bars):
    environment = os.environ | {"PYTHONPATH": str(paths.CHECKOUT)}
    command = [sys.executable, "-c", COLLECTING, str(Path(__file__).parent), RULES]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    for process, known in zip(both, (bars, cut_at(bars, 480)), strict=True):
        process.stdin.write(pickle.dumps(known))
        process.stdin.close()
    for process in both:
        said = process.stderr.read().decode()
        assert process.wait() == 0, said


def test_a_home_whose_name_is_a_pattern_has_a_store_of_its_own(collect, bars, tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "x1"))
    collect(bars)
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "x[1]"))
    alone = collect(cut_at(bars, 480))
    again = collect(cut_at(bars, 480))
    assert (again.built, again.data_hash) == (0, alone.data_hash)


def test_what_another_schedule_had_stored_is_not_returned(plan, bars, tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    market = market_of(bars)
    everything = BUTTERFLY.table.schedule(market, plan)
    few = {symbol: days[::3] for symbol, days in everything.items()}
    table = dataclasses.replace(BUTTERFLY.table, schedule=lambda market, settings: few)
    drawn = dataclasses.replace(BUTTERFLY, table=table)
    whole = store.collect(BUTTERFLY, plan, market).events
    part = store.collect(drawn, plan, market).events
    assert len(part) < len(whole)
    on_schedule = {(symbol, day) for symbol, days in few.items() for day in days}
    assert set(part.select("symbol", "session").iter_rows()) <= on_schedule
