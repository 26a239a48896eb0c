"""The tear sheet against polars, pandas and hand counts on predictions made here."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq import strategies
from bq.workbench import page, tearsheet

SESSIONS, NAMES, K = 80, 8, 2
BUTTERFLY = strategies.get("butterfly")


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(5)
    n = SESSIONS * NAMES
    days = [dt.date(2020, 1, 3) + dt.timedelta(weeks=week) for week in range(SESSIONS)]
    expected = rng.uniform(0.05, 0.5, n)
    predictions = pl.DataFrame(
        {
            "event_id": [f"{place:016x}" for place in range(n)],
            "session": [day for day in days for _ in range(NAMES)],
            "symbol": [f"S{name}" for name in range(NAMES)] * SESSIONS,
            "expected": expected,
            "score": rng.uniform(0, 100, n),
            "outcome": expected + rng.normal(0, 0.3, n),
        }
    )
    from bq.core import params, paths

    settings = params.load(paths.parameters("butterfly"), BUTTERFLY.settings, overrides={"k": f"policy.k={K}"})
    kinds = predictions.select("event_id", structure=pl.col("symbol"))
    return tearsheet.results(predictions, BUTTERFLY, settings, events=kinds)


def by_hand(found):
    return found.predictions.sort("session", "expected", descending=[False, True]).group_by("session").head(K)


def texts(sheet):
    return {heading: [str(content) for content in contents] for heading, contents in sheet.parts}


def test_what_groups_add_is_what_the_sessions_earned(found):
    total = found.pairs["model"].sum()
    assert total == pytest.approx(by_hand(found)["outcome"].sum() / K)
    for name in ("symbol", "year"):
        trades = found.trades.with_columns(year=pl.col("session").dt.year())
        *groups, rest = tearsheet._by(trades, name).iter_rows(named=True)
        assert sum(one["adds"] for one in groups) == pytest.approx(total)
        assert sum(one["trades"] for one in groups) == SESSIONS * K
        assert rest[name] == f"all without {groups[0][name]}" and rest["trades"] == SESSIONS * K - groups[0]["trades"]
        assert rest["adds"] == pytest.approx(total - max(one["adds"] for one in groups))


def test_the_years_are_the_sums_of_their_sessions(found):
    shown = texts(tearsheet.sheet(found))["By month and year"][-1]
    hand = by_hand(found).group_by(pl.col("session").dt.year().alias("year")).agg(pl.col("outcome").sum() / K)
    for year, value in hand.rows():
        line = next(line for line in shown.splitlines() if line.startswith(str(year)))
        assert f"{value:.3f}" in line


def test_every_part_is_there_and_a_cross_section_too_small_for_fifths_has_no_ranking(found):
    headings = [heading for heading, _ in tearsheet.sheet(found).parts]
    assert len(headings) == 7 and "Rank IC by month and horizon" in headings
    few = found._replace(predictions=found.predictions.filter(pl.col("symbol") < "S3"))
    assert "Rank IC by month and horizon" not in texts(tearsheet.sheet(few))


def test_a_sheet_is_one_page_without_requests(found, tmp_path):
    tearsheet.write(tmp_path / "t.html", found, None, title="a run", source="modelled", bars="bundled")
    text = (tmp_path / "t.html").read_text()
    assert "Not evidence about the market" in text and "Survivors only" in text and text.count('id="section-') == 7
    assert "default-src" in text and "stylesheet" not in text.partition("<script")[0]


@pytest.mark.parametrize(("bars", "flattered"), [("bundled", True), ("bundled_bars", True), ("files", False)])
def test_what_was_earned_by_bundled_stocks_alone_is_said_to_be_by_survivors(bars, flattered, tmp_path):
    page.write(tmp_path / "p.html", title="a page", source="real", bars=bars, parts=[("Part", ["text"])])
    assert ("Survivors only" in (tmp_path / "p.html").read_text()) == flattered


def test_one_group_alone_has_no_line_without_it(found):
    assert len(tearsheet._by(found.trades.with_columns(kind=pl.lit("fast")), "kind")) == 1


def test_regimes_and_exits_are_shown_where_the_events_know_them(found):
    regimes = pl.when(pl.col("session") < dt.date(2020, 9, 1)).then(pl.lit("bear")).otherwise(pl.lit("bull"))
    known = found.trades.with_columns(regime=regimes, exit_reason=pl.lit("horizon"), exit_session=pl.col("session"))
    shown = texts(tearsheet.sheet(found._replace(trades=known)))
    by_regime = next(text for text in shown["What was traded, by group"] if text.lstrip().startswith("regime"))
    assert {line.split()[0] for line in by_regime.splitlines()[1:]} == {"bear", "bull", "all"}
    trades = "\n".join(shown["Best and worst trades"])
    assert "exit reason" in trades and "horizon" in trades and "make explain" in trades
    without = "\n".join(texts(tearsheet.sheet(found))["What was traded, by group"])
    assert "`learning.regimes` adds it" in without
