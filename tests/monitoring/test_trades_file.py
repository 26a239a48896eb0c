"""A list of trades: what its columns mean, what is refused, and what is compared."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq.core.errors import BadData, BadParameters
from bq.monitoring import trades_file
from bq.monitoring.compared import Origin, Without
from bq.surface import params

HEADER = "track,symbol,opened,closed,pnl"
GOOD = [
    "ModelA,X,2019-01-02,2019-01-09,100",
    "RuleB,Y,2019-01-03,2019-01-12,-50",  # a Saturday: booked on Monday
    "RuleB,Z,2019-01-04,,",
]


@pytest.fixture
def settings():
    return params("butterfly")


def written(tmp_path, lines, header=HEADER):
    path = tmp_path / "trades.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_results_are_booked_in_the_session_in_which_a_trade_ends(tmp_path, settings):
    found = trades_file.compared(written(tmp_path, GOOD), settings)
    assert (found.origin, found.decisions, found.name) == (Origin.FILE, Without.TRADES_ALONE, "trades.csv")
    made = found.executions
    assert made.base == "RuleB"
    booked = made.returns.filter((pl.col("ModelA") != 0) | (pl.col("RuleB") != 0))
    assert booked["session"].cast(pl.String).to_list() == ["2019-01-09", "2019-01-14"]
    assert booked["ModelA"].sum() == pytest.approx(100 / 1e6) and booked["RuleB"].sum() == pytest.approx(-50 / 1e6)
    assert [(one.trades, one.still_open) for one in made.figures] == [(1, 0), (1, 1)]


def test_capital_is_that_of_the_file_else_the_settings(tmp_path, settings):
    lines = [f"{line},{capital}" for line, capital in zip(GOOD, ("2000", "", ""), strict=True)]
    given = trades_file.compared(written(tmp_path, lines, f"{HEADER},capital"), settings)
    assert [one.capital for one in given.executions.figures] == [2000.0, 1e6]
    named = [line.replace("ModelA", "ButterAI").replace("RuleB", "ButterBaseline") for line in GOOD]
    found = trades_file.compared(written(tmp_path, named), settings)
    assert [one.capital for one in found.executions.figures] == [7e5, 3e5] and found.executions.base == "ButterBaseline"


def test_the_track_that_others_are_compared_with_may_be_named(tmp_path, settings):
    assert trades_file.compared(written(tmp_path, GOOD), settings, "ModelA").executions.base == "ModelA"
    with pytest.raises(BadParameters, match="TRACK must be one that is compared, but got 'ModelB'"):
        trades_file.compared(written(tmp_path, GOOD), settings, "ModelB")


def test_blocks_are_twice_as_long_as_trades_are_held_as_a_list_has_no_marks(tmp_path, settings):
    rng, days = np.random.default_rng(1), pl.date_range(dt.date(2016, 1, 4), dt.date(2019, 1, 4), "4d", eager=True)
    held = days.dt.offset_by("28d")
    lines = [
        f"{'ModelA' if n % 2 else 'RuleB'},S{n % 7},{day},{end},{rng.normal():.3f}"
        for n, (day, end) in enumerate(zip(days, held, strict=True))
    ]
    (found,) = trades_file.compared(written(tmp_path, lines), settings).executions.differences
    assert found.look.sessions in (38, 40) and len(found.look.values) == 765 // found.look.sessions


def test_opportunities_let_pass_stand_beside_trades_where_the_score_is_given(tmp_path, settings):
    rng, lines = np.random.default_rng(2), []
    for n in range(600):
        name, score = ("ModelA" if rng.random() < 0.5 else "RuleB"), rng.normal()
        pnl = 100 * (0.8 * score + 0.6 * rng.normal())
        traded = f"2019-01-0{2 + n % 3},2019-01-1{n % 5},{pnl:.4f}" if n % 3 else ",,"
        lines.append(f"{name},S{n % 12},{traded},{score:.4f},50")
    (one,) = trades_file.compared(written(tmp_path, lines, f"{HEADER},score,risk"), settings).executed
    assert one.opportunity.n_first + one.opportunity.n_base == 600
    assert one.outcome.n_first + one.outcome.n_base == 400
    frame = pl.read_csv(tmp_path / "trades.csv").with_columns(pl.col("pnl").fill_null(0.0))
    within = frame.select(pl.col("pnl", "score") - pl.col("pnl", "score").mean().over("track"))
    expected = np.corrcoef(within["pnl"], within["score"])[0, 1] ** 2
    assert one.adjusted.saved == pytest.approx(expected, abs=1e-6) and expected > 0.2


@pytest.mark.parametrize(
    ("lines", "header", "match"),
    [
        pytest.param(
            ["A,X,2019-01-02,2019-01-09"], "track,symbol,opened,closed", "'pnl' is missing", id="a-column-missing"
        ),
        pytest.param([f"{one},1" for one in GOOD], f"{HEADER},rsk", "'rsk' is none; did you mean `risk`", id="unknown"),
        pytest.param([*GOOD, "A,X,2019-01-02,2019-01-09,1,2"], HEADER, "cannot be read as one: ", id="ragged"),
        pytest.param(GOOD[:1], HEADER, "two tracks or more, but names 1: ModelA", id="one-track"),
        pytest.param([*GOOD, "ModelA,X,2019-13-02,2019-01-09,1"], HEADER, "row 5 has '2019-13-02'", id="no-date"),
        pytest.param(
            [*GOOD, "ModelA,X,2019-01-02,2019-01-09,much"], HEADER, "`pnl` .* row 5 has 'much'", id="no-number"
        ),
        pytest.param([*GOOD, "ModelA,X,2019-01-02,2019-01-09,inf"], HEADER, "row 5 has 'inf'", id="infinite"),
        pytest.param([*GOOD, "ModelA,X,2019-01-09,2019-01-02,1"], HEADER, "close after .* row 5", id="closed-before"),
        pytest.param([*GOOD, "ModelA,X,2019-01-02,2019-01-09,"], HEADER, "have a pnl where .* row 5", id="no-pnl"),
        pytest.param([*GOOD, "ModelA,X,2019-01-02,,5"], HEADER, "be closed where .* row 5", id="pnl-of-open"),
        pytest.param([*GOOD, "ModelA,X,,2019-01-02,5"], HEADER, "be opened where .* row 5", id="never-opened"),
        pytest.param([*GOOD, ",X,2019-01-02,2019-01-09,5"], HEADER, "a track, but row 5", id="no-track"),
        pytest.param([GOOD[2], GOOD[2].replace("RuleB", "C")], HEADER, "closed trade, but every row", id="all-open"),
        pytest.param([f"{one},0" for one in GOOD], f"{HEADER},risk", "risk more than nothing, .*row 2", id="no-risk"),
    ],
)
def test_what_is_no_list_of_trades_is_refused_with_its_row(tmp_path, settings, lines, header, match):
    with pytest.raises(BadData, match=match):
        trades_file.compared(written(tmp_path, lines, header), settings)


def test_a_file_that_is_not_there_is_refused(tmp_path, settings):
    with pytest.raises(BadData, match="there is none at"):
        trades_file.compared(tmp_path / "no.csv", settings)
