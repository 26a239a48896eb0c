"""The agent: what it learns from, that its gradients are right, and that it learns."""

import os

import gymnasium as gym
import numpy as np
import pytest

from bq.learning.network import Network
from bq.tuning.weights import dqn
from bq.tuning.weights.dqn import Plan, Transitions

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
SOLVED = 475.0  # CartPole-v1's own threshold, of 500 at most
OTHER_SEEDS, JUDGING_SEEDS = 90_000, 5_000  # of episodes that no training sees


def linear(*rows: list[float]) -> Network:
    """A network of one layer: its values are `x @ rows`."""
    weights = np.array(rows, np.float32)
    return Network((weights,), (np.zeros(weights.shape[1], np.float32),))


def seen(*terminated: bool) -> Transitions:
    """Transitions to the sights (1, 0) and (0, 1), rewards 1 and 2."""
    then = np.eye(2, dtype=np.float32)
    return Transitions(np.zeros((2, 2), np.float32), np.array([0, 1]), np.array([1.0, 2.0]), then, np.array(terminated))


def test_an_episode_that_is_cut_off_is_still_worth_something_and_one_that_is_over_is_not():
    """By hand: the newer network prefers action 1 and then 0; the older one says what these are worth: 20 and 30."""
    online, target = linear([0.0, 1.0], [1.0, 0.0]), linear([10.0, 20.0], [30.0, 40.0])
    assert dqn.targets(seen(False, False), online, target, 0.5).tolist() == [1.0 + 0.5 * 20.0, 2.0 + 0.5 * 30.0]
    assert dqn.targets(seen(True, False), online, target, 0.5).tolist() == [1.0, 2.0 + 0.5 * 30.0]


LOOPS = Plan(steps=2_000, hidden=(16,), learning_rate=2e-3, discount=0.5, warm_up=200, train_every=20, updates=20)
LOOPS = LOOPS._replace(target_every=20, rate_left=0.0, batch=128)


class Loop(gym.Env):
    """One state, one action, a reward of 1 each step; cut off, or over, after four steps."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(1)

    def __init__(self, *, over: bool) -> None:
        self._over, self._steps = over, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self._steps += 1
        ended = self._steps == 4
        return np.ones(1, np.float32), 1.0, ended and self._over, ended and not self._over, {}


@pytest.mark.parametrize(("over", "worth"), [(False, 2.0), (True, 8.0 / 5.0)], ids=["truncated", "terminated"])
def test_what_is_learnt_goes_on_beyond_a_cut_and_ends_at_an_end(over, worth):
    """For ever: 1 / (1 − ½) = 2. Over after every fourth step, which cannot be seen: v = 1 + ½ · ¾ · v, so 8/5."""
    *_, last = dqn.learn(Loop(over=over), LOOPS, seed=3)
    assert last.network.values(np.ones((1, 1)))[0, 0] == pytest.approx(worth, abs=0.05)


def test_what_a_step_tells_of_others_is_learnt_without_going_there():
    """A state of 1 that is worth 2, as above, and one of −1, only told of: over there, with a reward of 3."""

    class Telling(Loop):
        def step(self, action):
            there = np.full((1, 1), -1.0, np.float32)
            return *super().step(action)[:4], {
                dqn.OTHERS: Transitions(there, np.array([0]), np.array([3.0]), there, np.array([True]))
            }

    *_, last = dqn.learn(Telling(over=False), LOOPS, seed=3)
    assert last.network.values(np.array([[1.0], [-1.0]]))[:, 0] == pytest.approx([2.0, 3.0], abs=0.05)


def test_with_afterstates_an_action_is_worth_what_it_leads_to():
    """By hand: action i adds i to what is seen, and the network takes the value 3 − 2 × it: 3 − 2 · (1 + i)."""
    worth = dqn.of_afterstates(lambda seen: seen[:, None, :] + np.arange(3.0)[:, None])
    network = Network((np.array([[-2.0]]),), (np.array([3.0]),))
    assert worth(network, np.array([[1.0], [0.0]])).tolist() == [[1.0, -1.0, -3.0], [3.0, 1.0, -1.0]]
    assert dqn.greedy(network, np.array([1.0]), worth) == 0


def test_the_gradient_is_that_of_the_mean_huber_loss():
    rng = np.random.default_rng(1)
    network = Network.new((3, 5, 4, 2), rng)
    doubles = Network(*(tuple(own.astype(np.float64) for own in layer) for layer in network))
    batch = Transitions(rng.normal(size=(16, 3)), rng.integers(2, size=16), np.zeros(16), np.zeros((16, 3)), np.zeros(16, bool))  # fmt: skip # noqa: E501
    wanted = 2.0 * rng.normal(size=16)

    def loss() -> float:
        error = np.abs(doubles.values(batch.seen)[np.arange(16), batch.action] - wanted)
        return float(np.where(error < 1.0, 0.5 * error**2, error - 0.5).mean())

    found = dqn.gradients(doubles, batch, wanted)
    for own, gradient in zip((*doubles.weights, *doubles.biases), found, strict=True):
        place = tuple(int(rng.integers(size)) for size in own.shape)
        around = []
        for step in (1e-6, -2e-6):
            own[place] += step
            around.append(loss())
        own[place] += 1e-6
        assert gradient[place] == pytest.approx((around[0] - around[1]) / 2e-6, abs=1e-6)


def numbered(*steps: int) -> Transitions:
    """Transitions from one number to the next."""
    at = np.array(steps)
    return Transitions(at[:, None], at, at.astype(float), at[:, None] + 1, np.zeros(len(at), bool))


def test_memory_keeps_the_newest():
    memory = dqn.Memory(3, 1)
    for step in range(5):
        memory.add(numbered(step))
    drawn = memory.draw(100, np.random.default_rng(0))
    assert set(drawn.action.tolist()) == {2, 3, 4}
    assert (drawn.then[:, 0] == drawn.seen[:, 0] + 1).all()
    memory.add(numbered(7, 8))
    assert set(memory.draw(100, np.random.default_rng(0)).action.tolist()) == {4, 7, 8}


def test_the_same_seed_gives_the_same_policies():
    plan = Plan(steps=600, hidden=(8,), warm_up=100, checkpoint_every=200, train_every=50, updates=5)
    runs = [list(dqn.learn(gym.make("CartPole-v1"), plan, seed=seed)) for seed in (4, 4, 5)]
    assert [one.step for one in runs[0]] == [200, 400, 600]
    same, other = ([np.array_equal(a.network.weights[0], b.network.weights[0]) for a, b in zip(runs[0], runs[i], strict=True)] for i in (1, 2))  # fmt: skip # noqa: E501
    assert all(same) and not any(other)


def solved(plan: Plan, seed: int) -> float:
    """The return of the checkpoint that did best in episodes of other seeds, in episodes of others again."""
    judge = gym.make("CartPole-v1")
    checkpoints = dqn.learn(gym.make("CartPole-v1"), plan, seed=seed)
    best, _ = dqn.best(checkpoints, lambda own: dqn.returned(judge, own, episodes=10, seed=JUDGING_SEEDS + 100 * seed))
    return dqn.returned(judge, best.network, episodes=20, seed=OTHER_SEEDS + 100 * seed)


@pytest.mark.calibration
def test_cartpole_is_solved_by_four_of_five_seeds_in_fifty_thousand_steps():
    """Settings of Stable-Baselines3's zoo. Small form: some balance after a tenth of the steps; chance holds 22."""
    if not FULL:
        assert solved(Plan(steps=5_000, hidden=(64, 64), checkpoint_every=1_000), 0) >= 80.0
        return
    returns = [solved(Plan(checkpoint_every=1_000), seed) for seed in range(5)]
    assert sum(one >= SOLVED for one in returns) >= 4
