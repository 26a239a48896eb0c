"""The two figures of market regimes, one beneath the other."""

import datetime as dt

import polars as pl
import pytest

from bq.workbench import plots

STATES = ["bear", "neutral", "bull"]


@pytest.fixture
def frame():
    """Ten sessions, the second state never standing, no state in the first."""
    stood = [None, *["bull"] * 5, *["bear"] * 4]
    shares = {f"regime_{name}": [0.2 + place / 10] * 10 for place, name in enumerate(STATES)}
    session = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 1, 10), eager=True)
    return pl.DataFrame({"session": session, "close": [100.0 + t for t in range(10)], "regime": stood, **shares})


def test_a_state_has_one_colour_in_the_timeline_and_in_its_probabilities(frame):
    drawn = plots.timeline(frame, "session", "close", "regime", states=STATES, title="t", y_title="close")
    columns = [f"regime_{name}" for name in STATES]
    shares = plots.lines(frame, "session", columns, title="p", x_title="session", y_title="share")
    marked = {trace.name: trace.marker.color for trace in drawn.data if trace.mode == "markers"}
    assert list(marked) == STATES
    assert len(set(marked.values())) == 3
    assert list(marked.values()) == [trace.line.color for trace in shares.data]


def test_the_timeline_marks_a_session_with_the_state_that_stood(frame):
    drawn = plots.timeline(frame, "session", "close", "regime", states=STATES, title="t", y_title="close")
    marked = {trace.name: list(trace.y) for trace in drawn.data if trace.mode == "markers"}
    assert marked == {"bear": [106, 107, 108, 109], "neutral": [], "bull": [101, 102, 103, 104, 105]}
