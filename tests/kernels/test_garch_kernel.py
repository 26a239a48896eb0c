import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from bq.kernels.garch import LIMITS, NORMALS, _constrained_step, _evaluate


def negative_loglikelihood(theta, z):
    """Plain loop over the definition, without the constant."""
    mu, omega, alpha, beta = theta
    e2 = (z - mu) ** 2
    h = omega + (alpha + beta) * e2.mean()
    total = 0.0
    for square in e2:
        total += 0.5 * (np.log(h) + square / h)
        h = omega + alpha * square + beta * h
    return total


def standardised(days, seed):
    z = np.random.default_rng(seed).standard_t(4, days)
    return (z - z.mean()) / z.std()


points = pytest.mark.parametrize(
    "theta",
    [(0.0, 0.02, 0.05, 0.93), (0.1, 0.4, 0.3, 0.2), (-0.2, 0.9, 0.0, 0.05), (0.0, 1e-6, 0.1, 0.9)],
    ids=["persistent", "short-lived", "nearly-constant", "integrated"],
)


@points
def test_likelihood_and_gradient_are_those_of_the_definition(theta):
    theta, z = np.array(theta), standardised(200, 1)
    gradient, information = np.empty(4), np.empty((4, 4))
    value = _evaluate(theta, z, gradient, information)
    assert value == pytest.approx(negative_loglikelihood(theta, z), rel=1e-12)
    expected = approx_fprime(theta, negative_loglikelihood, 1e-8, z)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-3)


@points
def test_information_is_symmetric_and_positive(theta):
    information = np.empty((4, 4))
    _evaluate(np.array(theta), standardised(200, 2), np.empty(4), information)
    np.testing.assert_array_equal(information, information.T)
    assert np.linalg.eigvalsh(information).min() > 0


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 100_000))
def test_constrained_step_solves_the_quadratic_programme(seed):
    random = np.random.default_rng(seed)
    root = random.standard_normal((4, 4))
    hessian, gradient = root @ root.T + 0.1 * np.eye(4), 3 * random.standard_normal(4)
    alpha, beta = random.dirichlet([1, 1, 1])[:2]
    theta, step = np.array([random.normal(), random.random(), alpha, beta]), np.empty(4)

    def model(move):
        return gradient @ move + 0.5 * move @ hessian @ move

    assert _constrained_step(theta, gradient, hessian, step)
    assert (NORMALS @ (theta + step) >= LIMITS - 1e-9).all()
    peer = minimize(
        model,
        np.zeros(4),
        jac=lambda move: gradient + hessian @ move,
        constraints={"type": "ineq", "fun": lambda move: NORMALS @ (theta + move) - LIMITS, "jac": lambda _: NORMALS},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert model(step) == pytest.approx(peer.fun, abs=1e-6)
