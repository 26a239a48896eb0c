"""Detectors of change: run lengths are those of the literature, and outcomes that overlap are no stream."""

import numpy as np
import pytest
from scipy.signal import lfilter

from bq.stats import streams

SHIFTS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2)
CUSUM = {4: (167.68, 74.22, 26.63, 13.29, 8.38, 4.75, 3.34), 5: (465.44, 139.49, 38.0, 17.05, 10.38, 5.75, 4.01)}
EWMA = {(0.1, 2.814): {0: 499.6, 0.5: 31.3, 1: 10.33}, (0.05, 2.615): {0: 499.9, 0.5: 28.8, 1: 11.38}}


def simulated_run_length(path, limit: float, shift: float, *, draws: int, length: int) -> tuple[float, float]:
    """Time watched over alarms, and its standard error; z is drawn with a fixed seed."""
    z = np.random.default_rng(20261129).standard_normal((draws, length)) + shift
    first = streams.first_alarm(path(z), limit)
    alarms = (first > 0).sum()
    found = np.where(first > 0, first, length).sum() / alarms
    return found, found / np.sqrt(alarms)


@pytest.mark.parametrize(
    ("h", "shift", "expected"),
    [
        pytest.param(h, shift, arl, id=f"h={h} shift={shift}")
        for h, row in CUSUM.items()
        for shift, arl in zip(SHIFTS, row, strict=True)
    ],
)
def test_run_lengths_of_the_two_sided_cusum_match_the_published_ones(h, shift, expected):
    # Montgomery's table, by R spc::xcusum.arl
    found, error = simulated_run_length(
        lambda z: streams.two_sided_cusum(z, k=0.5), h, shift, draws=2000, length=1000 if shift < 0.5 else 200
    )
    assert found == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    ("weight", "limit", "shift", "expected"),
    [
        pytest.param(*of, shift, arl, id=f"weight={of[0]} shift={shift}")
        for of, row in EWMA.items()
        for shift, arl in row.items()
    ],
)
def test_run_lengths_of_the_ewma_match_the_published_ones(weight, limit, shift, expected):
    found, error = simulated_run_length(
        lambda z: streams.ewma(z, weight=weight), limit, shift, draws=2000, length=2000 if shift == 0 else 200
    )
    assert found == pytest.approx(expected, abs=4 * error)


def brook_evans(k: float, h: float, shift: float, states: int = 200) -> float:
    """Average run length of a one-sided CUSUM as a Markov chain: Brook & Evans 1972, doi:10.1093/biomet/59.3.539."""
    from scipy.special import ndtr

    width = 2.0 * h / (2 * states - 1)
    at = np.arange(states) * width
    upper = ndtr(at[None, :] - at[:, None] + width / 2 + k - shift)
    steps = np.diff(upper, axis=1, prepend=0.0)
    steps[:, 0] = upper[:, 0]
    return float(np.linalg.solve(np.eye(states) - steps, np.ones(states))[0])


def test_the_markov_chain_of_brook_and_evans_gives_the_same_run_lengths():
    for h, row in CUSUM.items():
        for shift, expected in zip(SHIFTS, row, strict=True):
            both = 1.0 / (1.0 / brook_evans(0.5, h, shift) + 1.0 / brook_evans(0.5, h, -shift))
            assert both == pytest.approx(expected, rel=0.01)


def test_a_cusum_starts_again_from_nothing():
    values = np.random.default_rng(3).standard_normal(500)
    running, expected = 0.0, []
    for value in values:
        running = max(0.0, running + value)
        expected.append(running)
    np.testing.assert_allclose(streams.cusum(values), expected, atol=1e-12)


def test_the_llr_of_a_block_counts_as_many_errors_as_it_is_worth():
    # at p0 .25 p1 is .25 + 2/3 of .25 = 5/12: ln(5/3) of an error, ln(7/9) of a right answer
    by_hand = 2 * np.log(5 / 3) + np.log(7 / 9)
    path = streams.llr_cusum([[1.0]], np.array([0.25]), size=1.0)
    assert path[0, 0] == pytest.approx(np.log(5 / 3))
    mixed = streams.llr_cusum([[2 / 3]], np.array([0.25]), size=3.0)
    assert mixed[0, 0] == pytest.approx(by_hand)


def test_the_wealth_of_bets_is_that_of_betting_one_by_one():
    rng, p0 = np.random.default_rng(4), 0.3
    errors = (rng.random(40) < 0.5).astype(float)
    wealth = []
    for t in range(1, len(errors) + 1):
        total = 1.0 / (t + 1)
        for j in range(1, t + 1):
            grown = [np.prod(1.0 + bet * (errors[j - 1 : t] - p0) / p0) for bet in streams.BETS]
            total += np.mean(grown) / (j * (j + 1))
        wealth.append(total)
    np.testing.assert_allclose(np.exp(streams.e_process(errors[None], np.array([p0]))[0]), wealth, rtol=1e-6)


def test_the_e_process_keeps_its_level_at_any_time_also_under_dependence():
    rng = np.random.default_rng(5)
    # regimes of errors .05 and .45 that last about ten values: the mean given the past is not p0, it is below .45
    state = np.cumsum(rng.random((500, 1000)) < 0.1, axis=1) % 2
    dependent = rng.random(state.shape) < np.where(state == 1, 0.45, 0.05)
    plain = rng.random((500, 1000)) < 0.25
    for errors, p0 in ((plain, 0.25), (dependent, 0.45)):
        reached = streams.e_process(errors.astype(float), np.full(500, p0)).max(axis=1) >= np.log(10.0)
        assert reached.mean() <= 0.1


def test_blocks_of_outcomes_never_overlap():
    rng = np.random.default_rng(6)
    start = np.sort(rng.integers(0, 3000, 800))
    end = start + rng.integers(1, 40, 800)
    block = streams.non_overlapping(start, end, span=20)
    numbers = np.arange(block.max() + 1)
    ends = np.array([end[block == number].max() for number in numbers])
    begins = np.array([start[block == number].min() for number in numbers])
    spans = np.array([start[block == number].max() - start[block == number].min() for number in numbers])
    assert (begins[1:] >= ends[:-1]).all()
    assert (spans < 20).all()
    assert len(numbers) > 3000 / 80


def overlapping_errors(rng, sessions: int, holding: int) -> np.ndarray:
    """Errors at a rate of .25 whose labels span `holding` sessions: they share the moves of these."""
    from scipy.special import ndtri

    moves = rng.standard_normal(sessions + holding)
    sums = lfilter(np.ones(holding), [1.0], moves)[holding:] / np.sqrt(holding)
    return (sums < ndtri(0.25)).astype(float)


def test_overlapping_labels_alarm_in_every_stream_and_blocks_of_them_in_few():
    rng, holding = np.random.default_rng(7), 20
    everyone, blocks = [], []
    for _ in range(60):
        errors = overlapping_errors(rng, 4000, holding)
        start = np.arange(len(errors))
        block = streams.non_overlapping(start, start + holding, span=1)
        everyone.append(errors)
        blocks.append([errors[block == number].mean() for number in range(block.max() + 1)])
    alone, limit = np.array([0.25]), 5.9  # 10 % within 1000 independent errors
    all_paths = streams.llr_cusum(np.array(everyone), np.repeat(alone, 60))
    block_paths = streams.llr_cusum(np.array(blocks), np.repeat(alone, 60))
    assert (all_paths.max(axis=1) >= limit).all()
    assert len(blocks[0]) == 200
    assert (block_paths.max(axis=1) >= limit).mean() <= 0.1
