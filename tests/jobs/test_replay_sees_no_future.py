"""A replay knows nothing of later days: on data that end earlier, it leaves the same rows and models up to there."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from replayed import SMALL, Left, cut, left, planted

from bq.serving.out_of_sample import NOTHING_KNOWN
from bq.strategies.breakout import STRATEGY, quality

CHILD = Path(__file__).with_name("replayed.py")
FULL = os.environ.get("BQ_FULL") == "1"
LONG, SHORT = 80, 60  # sessions
SEED, DAYS = 11, 12  # random days a strategy
MODEL = 8  # column of a decision


def same_up_to_its_end(short: Left, whole: Left) -> None:
    """Of a replay that ended earlier: every row is the longer one's, byte by byte, in the same order."""
    for name, rows in short._asdict().items():
        assert rows == getattr(whole, name)[: len(rows)], name
    assert short.attempts and short.outcomes and any(json.loads(row)[MODEL] for row in short.decisions)


@pytest.mark.parametrize("name", SMALL)
def test_what_a_day_leaves_is_the_same_whatever_comes_later(name):
    if name == "butterfly" and not FULL:
        pytest.skip("the others are tried; BQ_FULL=1 tries every strategy")
    small = planted(name)
    days = small.days[:LONG]
    whole = left(small, small.market, days[0], days[-1])  # whose bars go on for longer
    short = left(small, cut(small.market, days[SHORT]), days[0], days[SHORT])
    same_up_to_its_end(short, whole)
    assert len(short.decisions) < len(whole.decisions)


@pytest.mark.parametrize("mode", quality.MODES)
def test_no_rank_of_a_signal_depends_on_a_later_session(mode):
    small, chance = planted("breakout"), np.random.default_rng(SEED)
    signals = STRATEGY.backtester.priority(small.market, small.settings, NOTHING_KNOWN).select("symbol", "session")
    answers = signals.with_columns(probability=pl.Series(chance.random(len(signals)), dtype=pl.Float32))
    settings = small.settings.model_copy(update={"ml": small.settings.ml.model_copy(update={"prediction_mode": mode})})
    whole = STRATEGY.backtester.priority(small.market, settings, answers)
    assert whole["priority"].n_unique() > 20
    for last in small.days[20::60]:
        known = pl.col("session") <= last
        short = STRATEGY.backtester.priority(cut(small.market, last), settings, answers.filter(known))
        assert_frame_equal(short, whole.filter(known))


@pytest.mark.calibration
@pytest.mark.parametrize("name", SMALL)
def test_processes_of_their_own_on_files_that_end_earlier_leave_the_same(name, tmp_path):
    if not FULL:
        pytest.skip("one day of each strategy is tried above; BQ_FULL=1 tries twelve, each in a process of its own")
    small = planted(name)

    def alone(last) -> Left:
        bars, target = tmp_path / f"{last}.parquet", tmp_path / f"{last}.json"
        small.market.bars.filter(pl.col("session") <= last).write_parquet(bars)
        command = [sys.executable, str(CHILD), name, str(bars), str(small.days[0]), str(last), str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return Left(**json.loads(target.read_text()))

    whole = alone(small.days[-1])
    for place in random.Random(SEED).sample(range(len(small.days) // 4, len(small.days) - 1), DAYS):
        same_up_to_its_end(alone(small.days[place]), whole)
