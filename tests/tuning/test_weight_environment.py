"""The environment of score weights: its grid, its rules, and what it shows."""

import itertools

import numpy as np
import polars as pl
import pytest
from gymnasium.utils.env_checker import check_env
from weighed_strategy import GIVEN, NAMES, WEIGHED, weighed_events, weighed_settings

from bq.learning import weighing
from bq.learning.weighing import Grid
from bq.learning.weight_policy import ENDS, afterstates, path
from bq.simulate.weighed import weighed
from bq.strategies import policy
from bq.tuning.weights import environment
from bq.tuning.weights.dqn import OTHERS
from bq.tuning.weights.environment import Scaling, ScoreWeights, window

GRID = Grid.of(4)
SETTINGS = weighed_settings()
EVENTS = weighed_events(weighed(120, strength=0.3, seed=5))
SESSIONS = weighing.sessions_of(EVENTS, WEIGHED, SETTINGS, GRID)
SCALING = Scaling.of(SESSIONS.state)


def whole() -> ScoreWeights:
    return window(SESSIONS, 0, len(SESSIONS.given), SCALING, GRID, length=52)


def test_it_is_an_environment_by_gymnasiums_own_check():
    check_env(whole(), skip_render_check=True)
    assert whole().action_space.n == 13


def test_the_grid_has_the_633_weights_in_steps_of_5_percent_from_5_to_50():
    wanted = {
        w for w in itertools.product(range(0, 101, 5), repeat=4) if sum(w) == 100 and min(w) >= 5 and max(w) <= 50
    }
    assert len(wanted) == 633
    assert set(map(tuple, GRID.points.tolist())) == wanted


def test_an_action_moves_five_points_from_one_weight_to_another_or_nothing():
    moved = GRID.points[GRID.after] - GRID.points[:, None, :]
    assert (moved[:, 0] == 0).all()
    kinds = {tuple(sorted(move)) for move in moved.reshape(-1, 4).tolist()}
    assert kinds == {(0, 0, 0, 0), (-5, 0, 0, 5)}
    middle = GRID.nearest(np.array([0.25, 0.25, 0.25, 0.25]))
    assert len(set(GRID.after[middle].tolist())) == 13
    corner = GRID.points.tolist().index([50, 40, 5, 5])
    assert (GRID.points[GRID.after[corner]] <= 50).all() and (GRID.after[corner] == corner).sum() > 1


def test_episodes_are_cut_off_and_never_over():
    env, ended = whole(), []
    for start in (0, 100):
        env.reset(seed=1, options={"session": start})
        steps, truncated = 0, False
        while not truncated:
            *_, terminated, truncated, _ = env.step(0)
            assert not terminated
            steps += 1
        ended.append(steps)
    assert ended == [52, 19]  # its length, and where the window ends


def test_the_reward_is_the_risk_adjusted_result_of_the_weights_after_the_move():
    """By hand: z − 0.1 z² in standard deviations of the score's results, less the mean of all points, to a fifth."""
    z = SESSIONS.results / SESSIONS.given.std()
    utility = z - 0.1 * z**2
    wanted = utility - utility.mean(axis=1, keepdims=True)
    wanted *= 0.2 / wanted.std()
    env = whole()
    start = GRID.nearest(np.array(GIVEN))
    env.reset(seed=0, options={"session": 7, "point": start})
    _, reward, *_ = env.step(3)
    assert reward == pytest.approx(wanted[7, GRID.after[start, 3]])


def test_a_step_tells_what_staying_at_other_points_would_have_earned():
    """Against steps that are made: the same session from each of those points."""
    env, other = whole(), whole()
    env.reset(seed=0, options={"session": 7, "point": 100})
    told = env.step(3)[-1][OTHERS]
    assert len(told.action) == environment.IMAGINED and len(set(told.reward)) > 5
    points = [
        int(np.abs(environment.seen_weights(GRID.shares) - own).sum(axis=1).argmin()) for own in told.seen[:, -4:]
    ]
    for row, point in enumerate(points):
        seen, _ = other.reset(seed=0, options={"session": 7, "point": point})
        then, reward, over, *_ = other.step(int(told.action[row]))
        assert (told.seen[row] == seen).all() and (told.then[row] == then).all()
        assert (told.reward[row], told.terminated[row]) == (reward, over)


@pytest.mark.parametrize("start", [[35, 30, 20, 15], [50, 40, 5, 5], [5, 5, 40, 50]], ids=str)
def test_what_an_action_makes_of_what_is_seen_are_the_weights_that_the_grid_says(start):
    """By the grid's own table; at its edges a move that leads out of it changes nothing. Raw and as agents see it."""
    point, env = GRID.points.tolist().index(start), whole()
    seen, _ = env.reset(seed=0, options={"session": 7, "point": point})
    after = env.after(seen[None, :])[0]
    assert after[:, -4:] == pytest.approx(environment.seen_weights(GRID.shares[GRID.after[point]]), abs=1e-5)
    assert (after[:, :-4] == seen[:-4]).all()
    raw = afterstates(np.concatenate([np.zeros(3), GRID.shares[point]])[None, :], GRID.moves / 100, ENDS)[0]
    assert raw[:, 3:] == pytest.approx(GRID.shares[GRID.after[point]])


@pytest.mark.parametrize("point", [[35, 30, 20, 15], [5, 50, 40, 5], [50, 5, 5, 40]], ids=str)
def test_a_result_is_what_the_policy_makes_of_a_score_with_those_weights(point):
    """Against `strategies.policy` on a score of its own: as many of each session as the score itself trades."""
    scored = EVENTS.with_columns(
        other=pl.sum_horizontal(pl.col(n) * w / 100 for n, w in zip(NAMES, point, strict=True))
    )
    taken = policy.traded(EVENTS, "score", SETTINGS.policy.k)
    wanted = policy.earned_of(scored, policy.as_many(scored, "other", taken), SETTINGS.policy.k)
    assert SESSIONS.results[:, GRID.points.tolist().index(point)] == pytest.approx(wanted["value"].to_numpy())


def test_what_is_seen_at_a_session_knows_no_outcome_that_had_not_matured():
    """Outcomes that end after a session's decision are changed: nothing seen there, and no weight, differs."""
    day = SESSIONS.session[80]
    t0 = EVENTS.filter(pl.col("session") == day)["t0"][0]
    poison = pl.when(pl.col("t1_due") > t0).then(99.0 - pl.col("outcome")).otherwise("outcome").alias("outcome")
    other = weighing.sessions_of(EVENTS.with_columns(poison), WEIGHED, SETTINGS, GRID)
    assert np.array_equal(SESSIONS.state[:81], other.state[:81], equal_nan=True)
    assert not np.array_equal(SESSIONS.state[85:], other.state[85:], equal_nan=True)
    paths = [
        path(lambda x: (np.nan_to_num(x) * 1e3).sum(axis=1).astype(int) % 13, s, GRID, 0) for s in (SESSIONS, other)
    ]
    assert np.array_equal(paths[0][:81], paths[1][:81])


def test_the_names_of_what_is_seen_are_as_many_as_its_columns():
    state = WEIGHED.weighing.state.columns
    assert len(state) == SESSIONS.state.shape[1] + 4
    assert state[:2] == ("market_mark", "part_0_mean") and state[-1] == "part_3_weight"


def test_recent_pay_is_the_mean_slope_of_results_on_a_share():
    """By numpy: least squares of each session's results on one share, its mean over the newest 13 that had matured."""
    column = WEIGHED.weighing.state.columns.index("part_2_paid_13")
    known = SESSIONS.known[60]
    slopes = [np.polyfit(GRID.shares[:, 2], SESSIONS.results[row], 1)[0] for row in range(known - 13, known)]
    assert SESSIONS.state[60, column] == pytest.approx(np.mean(slopes), rel=1e-4)
    assert known == 59  # weekly sessions, outcomes two weeks later: that of the second last is known at this t0


def test_a_flat_column_and_a_missing_value_say_nothing():
    state = SESSIONS.state.copy()
    state[:, 1], state[5, 0] = 3.0, np.nan
    seen = Scaling.of(state).apply(state)
    assert np.isfinite(seen).all() and np.abs(seen).max() <= environment.FARTHEST + 1e-5
    assert (np.abs(seen[:, 1]) < 1e-6).all()
