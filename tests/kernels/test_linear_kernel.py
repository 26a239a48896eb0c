import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.kernels.linear import solve


@settings(deadline=None)
@given(seed=st.integers(0, 100_000), size=st.integers(0, 8))
def test_solution_is_numpys(seed, size):
    random = np.random.default_rng(seed)
    matrix, right = random.standard_normal((8, 8)), random.standard_normal(8)
    expected = np.linalg.solve(matrix[:size, :size], right[:size])
    rest = right[size:].copy()
    assert solve(matrix.copy(), right, size)
    np.testing.assert_allclose(right[:size], expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(right[size:], rest)


def test_zero_on_the_diagonal_is_no_obstacle():
    right = np.array([2.0, 3.0])
    assert solve(np.array([[0.0, 1.0], [1.0, 0.0]]), right, 2)
    np.testing.assert_array_equal(right, [3.0, 2.0])


def test_singular_system_is_reported():
    assert not solve(np.ones((2, 2)), np.ones(2), 2)
