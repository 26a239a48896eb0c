"""`make collect FROM_FILE=`: what a quant reads of a table of their own, and what the other targets do with it."""

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "strategies"))  # the samples are the same

from labelled_samples import table

from bq import __main__ as entry
from bq.core.errors import BadData
from bq.jobs import collect, explain, housekeeping, request, scan, status
from bq.strategies import store

SET = "gate.draws=1000 learning.folds=3 learning.compare=[] learning.model=elastic_net"


@pytest.fixture
def go(tmp_path, monkeypatch, capsys):
    """Run a job with the variables of the Makefile; what it printed."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)

    def run(main, **variables) -> str:
        for name in ("STRATEGY", "PARAMS", "FORCE", "QUICK", "SYMBOLS", "FROM", "TO", "DATE", "EVENT", "FROM_FILE"):
            monkeypatch.setenv(name, str(variables.get(name, "")))
        monkeypatch.setenv("SET", f"{SET} {variables.get('SET', '')}")
        main(request.read())
        return capsys.readouterr().out

    return run


@pytest.fixture
def file(tmp_path) -> Path:
    """200 rows: one without a score, two copies of another, one label that differs, two columns that are no feature."""
    frame = table(sessions=40, symbols=5).with_columns(
        exit_price=pl.lit(1.0),
        my_edge=pl.lit(2.0),
        label=pl.when(pl.col("roi") < -0.1).then(pl.lit("Loss")),
        total_score=pl.when(pl.int_range(pl.len()) != 9).then("total_score"),
    )
    whole = pl.concat([frame.head(198), frame.head(2)])
    path = tmp_path / "old.parquet"
    whole.with_columns(
        label=pl.when(pl.int_range(pl.len()) != 20).then("label").otherwise(pl.lit("Good"))
    ).write_parquet(path)
    return path


def test_it_says_what_became_of_every_row_and_column(go, file):
    printed = go(collect.main, FROM_FILE=file)
    assert f"{file}: 200 rows read, 197 kept, 1 refused, 2 dropped as copies of another row" in printed
    assert "refused     1 no_score: a row must have the rule score (first row 10)" in printed
    assert "t0 (from date), t1 (from exit_date)" in printed and "outcome (from roi)" in printed
    assert "left out    exit_price: its name says that it is known only after t0 (exit)" in printed
    assert "left out    my_edge: no feature that is asked for" in printed
    assert "flagged     label_differs: row says Good, the edges (-0.1, 0.05, 0.15) say " in printed
    assert "butterfly · 197 events of 5 symbols" in printed
    assert "rows        200 of 1 file: 197 kept, 1 refused, 2 copies" in printed


def test_a_second_file_says_how_many_of_its_events_were_there(go, file, tmp_path):
    go(collect.main, FROM_FILE=file)
    later = pl.read_parquet(file).tail(100).with_columns(roi=pl.col("roi") + 0.01)
    later.write_parquet(tmp_path / "later.parquet")
    printed = go(collect.main, FROM_FILE=tmp_path / "later.parquet")
    assert "197 events were collected before; 100 of these 100 are among them, 100 with other values" in printed
    assert "rows        300 of 2 files: 197 kept, 1 refused, 102 copies or replaced" in printed
    fresh = go(collect.main, FROM_FILE=tmp_path / "later.parquet", FORCE=1)
    assert "collected before" not in fresh and "100 of 1 file" in fresh


def test_a_refused_table_leaves_what_was_collected(go, file, tmp_path):
    go(collect.main, FROM_FILE=file)
    before = go(collect.main, SET="market.source=labelled")
    pl.read_parquet(file).drop("roi").write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(BadData, match="`outcome`"):
        go(collect.main, FROM_FILE=tmp_path / "bad.parquet")
    assert go(collect.main, SET="market.source=labelled") == before


def test_the_other_targets_use_what_was_collected(go, file):
    go(collect.main, FROM_FILE=file)
    asked = "market.source=labelled"
    settings = [None]
    go(lambda made: settings.append(made.settings), SET=asked)
    events = store.collect(request.read().strategy, settings[-1], store.market_data(settings[-1])).events
    assert "tier          3" in go(explain.main, SET=asked, EVENT=events["event_id"][-1])
    assert "197 events of 5 symbols on 40 sessions" in go(status.main, SET=asked)
    assert "6 event tables" in go(housekeeping.verify, SET=asked)
    assert "labelled    1 file, 200 rows read: 1 quarantined, 2 dropped as copies, 197 kept" in go(
        housekeeping.check_data, SET=asked
    )
    with pytest.raises(BadData, match="has no bars, and what is asked for needs them: new events"):
        go(scan.main, SET=asked)


def test_a_damaged_table_is_found_by_verify(go, file, tmp_path):
    go(collect.main, FROM_FILE=file)
    (path,) = (tmp_path / "data/events/butterfly").glob("labelled.*/rows.parquet")
    path.write_bytes(b"")
    with pytest.raises(BadData, match=r"rows\.parquet: must have the hash"):
        go(housekeeping.verify)


def test_a_file_is_given_to_collect_or_a_comparison_alone(file, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.setenv("FROM_FILE", str(file))
    assert entry.main(["retrain"]) == 4
    assert "FROM_FILE must be given to `make collect` or `make ab`, but was to retrain" in capfd.readouterr().err
