"""What is kept of labelled tables: the same ids, overlaps counted, every row of every file exactly once, events."""

import datetime as dt
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from labelled_samples import NOW, settings_of, table

from bq import strategies
from bq.core import partitions
from bq.core.errors import BadData
from bq.strategies import store
from bq.strategies.events import conform
from bq.strategies.labelled import kept
from bq.strategies.labelled import table as labelled


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    return tmp_path


def collect(frame: pl.DataFrame, home: Path, *, name: str = "a.parquet", overrides: str = ""):
    """Collect a table as the job does; what was kept."""
    frame.write_parquet(home / name)
    settings = settings_of(overrides)
    folder = kept.folder_of(settings)
    before = kept.load(settings) if kept.exists(folder) else None
    read = labelled.read(home / name, strategies.of(settings), settings, now=NOW)
    kept.save(kept.added(before, read, file=name, calendar="XNYS"), folder)
    return kept.load(settings)


def events_of(overrides: str = "") -> store.Collection:
    settings = settings_of(overrides)
    return store.collect(strategies.of(settings), settings, store.market_data(settings))


def accounted(overrides: str = "") -> pl.DataFrame:
    """What became of every row, summed by file."""
    counts = store.market_data(settings_of(overrides)).counts
    return counts.group_by("file").agg(pl.col("read", "outside", "not_asked", "quarantined", "copies", "kept").sum())


SMALL = {"sessions": 40, "symbols": 5}


def test_a_file_collected_again_changes_nothing(home):
    first = collect(table(**SMALL), home)
    before = events_of()
    again = collect(table(**SMALL), home)
    assert again.events.equals(first.events, null_equal=True)
    assert events_of().data_hash == before.data_hash
    assert accounted().rows() == [("a.parquet", 200, 0, 0, 0, 0, 200)]


def test_a_table_kept_below_a_url_is_the_one_kept_in_a_folder(home, monkeypatch):
    here, events, rows = collect(table(**SMALL), home), events_of(), accounted()
    monkeypatch.setenv("BQ_DATA_ROOT", f"memory://{uuid4().hex}")
    with pytest.raises(BadData, match="none was collected"):
        kept.load(settings_of())
    there = collect(table(**SMALL), home)
    assert there.data_hash == here.data_hash and there.events.equals(here.events, null_equal=True)
    assert events_of().data_hash == events.data_hash and accounted().equals(rows)
    folder = kept.folder_of(settings_of())
    (folder / partitions.held(folder, partitions.pointer(folder)).pointer.prefix).remove()
    with pytest.raises(BadData, match=r"what was collected must be whole.*collect the files again"):
        kept.load(settings_of())


def test_the_order_of_rows_does_not_matter(home):
    collect(table(**SMALL), home)
    before = events_of().data_hash
    collect(table(**SMALL).reverse(), home)
    assert events_of().data_hash == before


def test_rows_that_a_second_file_has_too_are_counted_and_the_file_collected_last_counts(home):
    whole = table(**SMALL)
    collect(whole.head(120), home, name="a.parquet")
    collect(whole.tail(120).with_columns(roi=pl.col("roi").round(1)), home, name="b.parquet")
    assert sorted(accounted().rows()) == [("a.parquet", 120, 0, 0, 0, 40, 80), ("b.parquet", 120, 0, 0, 0, 0, 120)]
    events = events_of().events
    assert len(events) == 200
    overlap = events.filter(pl.col("file") == "b.parquet")
    assert len(overlap) == 120 and (overlap["outcome"] == overlap["outcome"].round(1)).all()
    collect(whole.head(120), home, name="a.parquet")
    assert sorted(accounted().rows()) == [("a.parquet", 120, 0, 0, 0, 0, 120), ("b.parquet", 120, 0, 0, 0, 40, 80)]


def test_every_row_is_accounted_for_exactly_once(home):
    frame = pl.concat([table(**SMALL), table(**SMALL).head(7)])
    bad = pl.int_range(pl.len()).is_in([3, 50, 51])
    frame = frame.with_columns(total_score=pl.when(~bad).then("total_score"))
    limits = "market.max_quarantine_share=0.1"
    collect(frame, home, overrides=limits)
    dates = 'market.symbols=["S00","S01","S02"] market.start=2012-02-01 market.end=2012-09-01'
    row = accounted(f"{limits} {dates}").row(0, named=True)
    events = events_of(f"{limits} {dates}").events
    assert row["read"] == 207
    assert row["read"] == sum(row[name] for name in ("outside", "not_asked", "quarantined", "copies", "kept"))
    assert row["kept"] == len(events) > 0
    # row 4 (of S03) has no score and its twin in the last seven has one: the twin is the decision
    assert (row["quarantined"], row["copies"]) == (3, 6)
    assert set(events["symbol"]) == {"S00", "S01", "S02"}
    assert events["session"].min() >= dt.date(2012, 2, 1) and events["session"].max() <= dt.date(2012, 9, 1)


def test_events_hold_the_contract_and_what_a_table_lacks_is_missing_never_zero(home):
    collect(table(**SMALL).drop("delta", "theta"), home)
    settings = settings_of()
    strategy = strategies.of(settings)
    events = events_of().events
    features = strategy.features(settings)
    contract = conform(events, features, strategy.task(settings))
    assert contract["delta"].is_null().all() and contract["theta"].is_null().all()
    assert contract["gamma"].null_count() == 0
    edges = [-0.10, 0.05, 0.15]
    by_hand = [sum(roi >= edge for edge in edges) for roi in events["outcome"]]
    assert contract["label"].to_list() == by_hand


def test_weights_are_the_uniqueness_of_overlapping_labels(home):
    """Weekly decisions held 25 days: each label spans four weeks, a session in the middle lies in four labels."""
    collect(table(**SMALL), home)
    middle = events_of().events.filter(pl.col("session").is_between(dt.date(2012, 3, 1), dt.date(2012, 8, 1)))
    assert 0.24 < middle["weight"].mean() < 0.30


def test_outcomes_stated_as_simulated_have_a_namespace_of_their_own(home):
    simulated = "market.labelled.outcomes=simulated"
    collect(table(**SMALL), home, overrides=simulated)
    settings = settings_of(simulated)
    assert str(settings.namespace) == "butterfly-simulated"
    assert events_of(simulated).events["source"].unique().to_list() == ["simulated"]
    with pytest.raises(BadData, match="none was collected for butterfly"):
        store.market_data(settings_of())


@pytest.mark.parametrize("overrides", ["market.calendar=XTKS", 'market.labelled.features=["my_edge"]'])
def test_parameters_that_what_was_collected_does_not_fit_ask_for_it_again(home, overrides):
    collect(table(**SMALL), home)
    with pytest.raises(BadData, match=r"(?i)collect it again"):
        events_of(overrides)


def test_a_damaged_table_is_refused(home):
    collect(table(**SMALL), home)
    path = kept.folder_of(settings_of()) / kept.ROWS
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BadData, match="must be whole"):
        store.market_data(settings_of())


def test_what_needs_bars_says_so(home):
    from bq import market

    collect(table(**SMALL), home)
    with pytest.raises(BadData, match="has no bars"):
        market.load(settings_of().market)
