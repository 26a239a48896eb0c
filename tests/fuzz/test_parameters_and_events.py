"""Whatever a parameter file, an override, an event table or a stored one holds: settings and events, or a sentence."""

import dataclasses
import datetime as dt
import json
import random
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq import strategies
from bq.core import files, params, paths
from bq.core.errors import BadData, BadParameters
from bq.market import MarketData
from bq.market.bars import FINDINGS, SCHEMA, content_hash, rows
from bq.market.calendars import sessions
from bq.market.chains.quotes import SCHEMA as QUOTES
from bq.strategies import event_set, store
from bq.strategies.events import NEVER_NULL, Built, FeatureSet, conform
from bq.strategies.task import Task
from tests.fuzz.many import many

BUTTERFLY = strategies.get("butterfly")
SHIPPED = paths.parameters("butterfly").read_text()
LINES = SHIPPED.splitlines()
NAMES = sorted({line.split(":")[0].strip() for line in LINES if ":" in line})
VALUES = [
    "",
    "null",
    "~",
    "true",
    "NO",
    "0",
    "-1",
    "1e400",
    ".nan",
    ".inf",
    "010",
    "1_000",
    "'x'",
    "[a, 1]",
    "[]",
    "{}",
    "{a: b}",
]
VALUES += [
    "!!python/object/apply:os.system [id]",
    "!!int ''",
    "*unknown",
    "&a [*a]",
    "2010-02-31",
    "9" * 400,
    "|",
    ">",
    "%",
    "@",
    "\t",
]
VALUES += ["[[1, 1, 1]]", "[-0.1, .nan]", "../../x", "<script>", "\0", "é", "[" * 40, "2999-01-01", "0001-01-01", "- a"]


# ---- parameter files and SET


@st.composite
def parameter_text(draw):
    """The shipped file with lines changed, or any text."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=80))
    lines = list(LINES)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        what = draw(st.sampled_from(["value", "value", "name", "drop", "repeat", "indent", "noise", "cut"]))
        name, colon, _ = lines[at].partition(":")
        if what == "value" and colon:
            lines[at] = f"{name}: {draw(st.sampled_from(VALUES) | st.text(max_size=6))}"
        elif what == "name" and colon:
            lines[at] = lines[at].replace(name.strip(), draw(st.sampled_from([*NAMES, "x", "", "a b", "__class__"])), 1)
        elif what == "drop" and len(lines) > 1:
            del lines[at]
        elif what == "repeat":
            lines.insert(at, lines[at])
        elif what == "indent":
            lines[at] = draw(st.sampled_from([" ", "\t", "   "])) + lines[at]
        elif what == "noise":
            lines[at] = draw(st.text(max_size=20))
        elif what == "cut":
            lines = lines[: at + 1]
    return "\n".join(lines)


@st.composite
def override_text(draw):
    """What a user may write into SET: names that exist, nearly exist or are code, with any values."""
    names = st.sampled_from(["market", "learning", "gate", "events", "strategy", "", "x", "__init__"])
    parts = []
    for _ in range(draw(st.integers(0, 2))):
        name = f"{draw(names)}{draw(st.sampled_from(['.', '', '..']))}{draw(st.sampled_from([*NAMES, 'x;import os']))}"
        parts.append(f"{name}{draw(st.sampled_from(['=', '=', '=', '', '==']))}{draw(st.sampled_from(VALUES))}")
    return " ".join(parts)


@many(250)
@given(text=parameter_text(), overrides=override_text())
def test_any_parameter_file_with_any_override_gives_settings_or_a_sentence(tmp_path_factory, text, overrides):
    folder = tmp_path_factory.getbasetemp() / "parameters"
    folder.mkdir(exist_ok=True)
    path = folder / "p.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = params.load(path, BUTTERFLY.settings, overrides=overrides)
        BUTTERFLY.features(found)
        path.write_bytes(params.to_yaml(found.model_dump()).encode())
        assert params.load(path, BUTTERFLY.settings) == found
    except BadParameters as error:
        assert 20 < len(str(error)) < 5000 and "Traceback" not in str(error)
    assert [entry.name for entry in folder.iterdir()] == ["p.yaml"]


# ---- event tables

FEATURES = FeatureSet("two", ("f1", "f2"))
TASK = Task(classes=("loss", "gain"), edges=(0.0,))
ODD = [
    None,
    "",
    "x",
    0,
    1,
    -1,
    1e400,
    float("nan"),
    float("-inf"),
    True,
    dt.date(2020, 1, 3),
    dt.datetime(2020, 1, 3),
    b"x",
    [1],
]


def event_table() -> pl.DataFrame:
    t0 = dt.datetime(2020, 1, 3, 21, tzinfo=dt.UTC)
    made = [
        {
            "event_id": f"e{i}",
            "strategy": "butterfly",
            "symbol": "AB"[i % 2],
            "variant": "v-1",
            "session": (t0 + dt.timedelta(days=7 * i)).date(),
            "t0": t0 + dt.timedelta(days=7 * i),
            "t1": t0 + dt.timedelta(days=7 * i + 5) if i < 4 else None,
            "t1_due": t0 + dt.timedelta(days=7 * i + 9),
            "taken": True,
            "source": "real",
            "weight": 1.0,
            "score": 50.0,
            "f1": 0.5,
            "f2": None,
            "outcome": 0.1 if i < 4 else None,
            "label": 1 if i < 4 else None,
        }
        for i in range(6)
    ]
    return pl.DataFrame(made)


@st.composite
def events(draw):
    """The table with columns dropped, of other types or with odd values, with rows repeated or none."""
    frame = event_table()
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(frame.columns or ["f1"]))
        what = draw(st.sampled_from(["value", "value", "all", "type", "drop", "swap", "rows", "none", "extra"]))
        if what in ("value", "all") and name in frame.columns and len(frame):
            values = frame[name].to_list()
            odd = draw(st.sampled_from(ODD))
            values = [odd] * len(values) if what == "all" else [odd, *values[1:]]
            frame = put(frame, name, values)
        elif what == "type" and name in frame.columns:
            kind = draw(st.sampled_from([pl.String, pl.Int8, pl.Float32, pl.Date, pl.Boolean, pl.Categorical, pl.Null]))
            frame = cast(frame, name, kind)
        elif what == "drop":
            frame = frame.drop(name, strict=False)
        elif what == "swap" and len(frame.columns) > 1:
            other = draw(st.sampled_from(frame.columns))
            frame = frame.with_columns(frame[other].alias(name))
        elif what == "rows":
            frame = pl.concat([frame, frame.head(draw(st.integers(0, 2)))])
        elif what == "none":
            frame = frame.clear()
        elif what == "extra":
            frame = frame.with_columns(extra=pl.lit(1))
    return frame


def put(frame: pl.DataFrame, name: str, values: list) -> pl.DataFrame:
    try:
        return frame.with_columns(pl.Series(name, values, strict=False))
    except (pl.exceptions.PolarsError, TypeError):  # polars has no column of such values
        return frame


def cast(frame: pl.DataFrame, name: str, kind: type[pl.DataType]) -> pl.DataFrame:
    try:
        return frame.with_columns(pl.col(name).cast(kind, strict=False))
    except pl.exceptions.PolarsError:  # no such cast: the table stays
        return frame


@many(200)
@given(frame=events())
def test_any_event_table_conforms_or_is_refused_in_a_sentence(frame):
    try:
        found = conform(frame, FEATURES, TASK)
    except BadData as error:
        assert len(str(error)) > 20 and "Traceback" not in str(error)
        return
    assert found.select(NEVER_NULL).null_count().sum_horizontal().item() == 0
    assert found["event_id"].is_unique().all() and found["t0"].is_sorted()
    assert not found.select(pl.any_horizontal(pl.col("f1", "f2", "score", "outcome").is_infinite())).to_series().any()
    assert conform(found, FEATURES, TASK).equals(found)


# ---- the event store


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A market, a strategy that makes its events up, and a home that holds them stored."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(home))
        plan = "events.every_weeks=4 events.first=2016-06-01 learning.regimes=null"
        found = params.load(paths.parameters("butterfly"), BUTTERFLY.settings, overrides=plan)
        strategy = dataclasses.replace(BUTTERFLY, table=dataclasses.replace(BUTTERFLY.table, build=made_up))
        bars = walk()
        data = MarketData(
            bars, QUOTES.to_frame(), FINDINGS.to_frame(), pl.DataFrame(), "real", "XNYS", content_hash(bars)
        )
        whole = store.collect(strategy, found, data)
        (folder,) = paths.events("butterfly").iterdir()
        shutil.copytree(folder, home / "whole")
        yield home, folder, strategy, found, data, whole


def made_up(_market, plan, wanted) -> Built:
    """An event of each date, the newest open; its numbers follow from the date."""
    made = []
    for symbol, days in wanted.items():
        for day in days:
            t0 = dt.datetime(day.year, day.month, day.day, 21, tzinfo=dt.UTC)
            number = float(day.toordinal() % 17) / 17 - 0.4
            closed = day < dt.date(2016, 11, 1)
            made.append(
                {
                    "event_id": f"{symbol}-{day}",
                    "strategy": "butterfly",
                    "symbol": symbol,
                    "variant": "v-1",
                    "session": day,
                    "t0": t0,
                    "t1": t0 + dt.timedelta(days=5) if closed else None,
                    "t1_due": t0 + dt.timedelta(days=20),
                    "taken": True,
                    "source": "real",
                    "score": 50.0,
                    "outcome": number if closed else None,
                    **dict.fromkeys(BUTTERFLY.features(plan).columns, number),
                }
            )
    refused = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date, "reason": pl.String})
    open_too = {"t1": pl.Datetime("us", "UTC"), "outcome": pl.Float64}
    return Built(pl.DataFrame(made, schema_overrides=open_too), refused)


def walk() -> pl.DataFrame:
    days = sessions("XNYS").filter(pl.col("session") >= dt.date(2015, 1, 2))["session"].head(500)
    moves = np.random.default_rng(7).normal(0, 0.015, (2, 500)).cumsum(axis=1)
    frames = [
        rows(pl.DataFrame({"symbol": name, "session": days, "close": 80 * np.exp(path)}), file="walk").select(
            SCHEMA.names()
        )
        for name, path in zip("AB", moves, strict=True)
    ]
    return pl.concat(frames)


STATES = [
    None,
    [],
    {},
    "x",
    {"through": "yesterday"},
    {"through": 5},
    {"symbols": []},
    {"symbols": {"A": 1}},
    {"tables": "x"},
]
STATES += [
    {"tables": []},
    {"through": "9999-01-01"},
    {"through": "0001-01-01"},
    {"symbols": {"A": "x", "<script>": "y"}},
]


def damage(folder, draw) -> None:
    name = draw(st.sampled_from([*event_set.TABLES, event_set.STATE]))
    path, what = (
        folder / name,
        draw(st.sampled_from(["cut", "byte", "gone", "swap", "empty", "state", "state", "folder"])),
    )
    content = path.read_bytes()
    if what == "cut":
        path.write_bytes(content[: draw(st.integers(0, len(content)))])
    elif what == "byte":
        at = random.Random(draw(st.integers(0, 99))).randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
    elif what == "gone":
        path.unlink()
    elif what == "swap":
        path.write_bytes((folder / event_set.TABLES[0]).read_bytes())
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "folder":
        path.unlink()
        path.mkdir()
    else:
        state, change = json.loads((folder / event_set.STATE).read_text()), draw(st.sampled_from(STATES))
        (folder / event_set.STATE).write_text(
            json.dumps(state | change if isinstance(change, dict) and change else change)
        )


@many(100)
@given(data=st.data())
def test_a_damaged_store_is_built_again_or_refused_and_never_believed(stored, data):
    home, folder, strategy, plan, market, whole = stored
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home / "whole", folder)
    damage(folder, data.draw)
    try:
        found = store.collect(strategy, plan, market)
    except (BadData, OSError) as error:
        assert len(files.explain(error) if isinstance(error, OSError) else str(error)) > 20
    else:
        assert found.data_hash == whole.data_hash
    assert not list(home.rglob("*.tmp"))
