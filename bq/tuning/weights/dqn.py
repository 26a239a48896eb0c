"""Deep Q-learning in plain NumPy, for any Gymnasium environment with a vector of numbers to see and a few actions.

Mnih et al. 2015, doi:10.1038/nature14236: values by a network, learnt from replayed transitions against the values of
an older copy. With the double estimate of van Hasselt et al. 2016, arXiv:1509.06461: the newer network chooses the
action, the older one says what it is worth.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from bq.learning.network import Network

DECAYS, FLOOR = (0.9, 0.999), 1e-8  # of Adam, Kingma & Ba 2015, arXiv:1412.6980
LARGEST_GRADIENT = 10.0  # norm of all of it together
OTHERS = "others"  # what a step may tell: transitions that were not made, but whose rewards are known

Array = NDArray[np.floating]
Worth = Callable[[Network, NDArray], Array]  # of each action, (n, n_actions), from sights (n, n_seen)


class Plan(NamedTuple):
    """How an agent learns. The defaults are those of CartPole in the zoo of Stable-Baselines3."""

    steps: int = 50_000
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 2.3e-3
    batch: int = 64
    memory: int = 100_000  # transitions that are kept for replay
    warm_up: int = 1_000  # steps before the first update
    discount: float = 0.99
    train_every: int = 256  # steps from one round of updates to the next
    updates: int = 128  # of a round
    target_every: int = 128  # updates after which the older copy is renewed: once a round
    explore_share: float = 0.16  # of the steps, over which exploration falls from 1 to …
    explore_last: float = 0.04  # … this share of random actions
    rate_left: float = 1.0  # share of the learning rate that is left at the end, on a straight line
    checkpoint_every: int = 2_500  # steps

    def exploration(self, step: int) -> float:
        """Share of random actions at a step.

        >>> [round(Plan().exploration(step), 2) for step in (0, 4_000, 8_000, 50_000)]
        [1.0, 0.52, 0.04, 0.04]
        """
        done = min(step / max(self.explore_share * self.steps, 1.0), 1.0)
        return 1.0 + done * (self.explore_last - 1.0)


class Checkpoint(NamedTuple):
    """The network as it was at a step: a policy that could be chosen."""

    step: int
    network: Network


class Transitions(NamedTuple):
    """What was seen, done, earned and seen next. terminated : whether the episode was over, not merely cut off."""

    seen: NDArray[np.float32]  # (n, n_seen)
    action: NDArray[np.int64]
    reward: Array
    then: NDArray[np.float32]  # (n, n_seen)
    terminated: NDArray[np.bool_]


class Memory:
    """The newest transitions, drawn from at random."""

    def __init__(self, size: int, width: int) -> None:
        self._held = Transitions(
            seen=np.zeros((size, width), np.float32),
            action=np.zeros(size, np.int64),
            reward=np.zeros(size),
            then=np.zeros((size, width), np.float32),
            terminated=np.zeros(size, bool),
        )
        self._written = 0

    def add(self, new: Transitions) -> None:
        """Keep transitions, in the place of the oldest where it is full."""
        rows = (self._written + np.arange(len(new.action))) % len(self._held.action)
        for name in Transitions._fields:
            getattr(self._held, name)[rows] = getattr(new, name)
        self._written += len(rows)

    def draw(self, count: int, rng: np.random.Generator) -> Transitions:
        """So many transitions, each as likely as any other."""
        rows = rng.integers(min(self._written, len(self._held.action)), size=count)
        return Transitions._make(held[rows] for held in self._held)


def targets(of: Transitions, online: Network, target: Network, discount: float, worth: Worth = Network.values) -> Array:
    """What the value of each transition should be: its reward and, unless it is over, the discounted worth of the next.

    An episode that was cut off goes on as far as its worth is concerned: only an end (`terminated`) has no next value.
    """
    best = worth(online, of.then).argmax(axis=1)
    found = worth(target, of.then)[np.arange(len(best)), best]
    return of.reward + discount * np.where(of.terminated, 0.0, found)


def gradients(network: Network, of: Transitions, wanted: Array) -> list[Array]:
    """Gradient of the mean Huber loss (1 beyond 1) between the values of what was done and those wanted.

    In the order of `network.weights`, then of `network.biases`.
    """
    layers: list[Array] = [of.seen]
    for weights, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        layers.append(np.maximum(layers[-1] @ weights + bias, 0.0))
    values = layers[-1] @ network.weights[-1] + network.biases[-1]
    rows = np.arange(len(wanted))
    error = np.zeros_like(values)
    error[rows, of.action] = np.clip(values[rows, of.action] - wanted, -1.0, 1.0) / len(wanted)
    by_weight, by_bias = [], []
    for i in range(len(layers) - 1, -1, -1):
        by_weight.append(layers[i].T @ error)
        by_bias.append(error.sum(axis=0))
        if i:
            error = (error @ network.weights[i].T) * (layers[i] > 0.0)
    return [*by_weight[::-1], *by_bias[::-1]]


class Adam:
    """Steps of gradient descent, each parameter's by the size that its gradients have had; the norm is bounded."""

    def __init__(self, network: Network) -> None:
        self._first, self._second = ([np.zeros_like(own) for own in (*network.weights, *network.biases)] for _ in "12")
        self._steps = 0

    def step(self, network: Network, by: list[Array], rate: float) -> None:
        """Move the network's parameters in place."""
        self._steps += 1
        norm = sum(float(np.vdot(one, one)) for one in by) ** 0.5
        scale = min(LARGEST_GRADIENT / max(norm, FLOOR), 1.0)
        rate *= (1.0 - DECAYS[1] ** self._steps) ** 0.5 / (1.0 - DECAYS[0] ** self._steps)
        parameters = (*network.weights, *network.biases)
        for own, gradient, first, second in zip(parameters, by, self._first, self._second, strict=True):
            gradient *= scale
            first += (1.0 - DECAYS[0]) * (gradient - first)
            second += (1.0 - DECAYS[1]) * (gradient * gradient - second)
            own -= rate * first / (np.sqrt(second) + FLOOR)


def copied(network: Network) -> Network:
    """The same network in memory of its own."""
    return Network(tuple(own.copy() for own in network.weights), tuple(own.copy() for own in network.biases))


def learn(env: gym.Env, plan: Plan, *, seed: int) -> Iterator[Checkpoint]:
    """Learn in the environment; yields the policy every `checkpoint_every` steps, and the last one.

    The same seed gives the same policies on one machine. env : with a Box of shape (n,) to see, a Discrete to do. Where
    it says what each action makes of what is seen (`after`, from (n, n_seen) to (n, n_actions, n_seen)), the network
    has one value, of what an action leads to, instead of one for each (Sutton & Barto 2018, section 6.8). Transitions
    that a step would have been as well (`OTHERS` of what it tells) are replayed like its own.
    """
    rng, after = np.random.default_rng(seed), getattr(env, "after", None)
    width, actions = int(np.prod(env.observation_space.shape or ())), int(env.action_space.n)  # type: ignore[attr-defined]
    worth = Network.values if after is None else of_afterstates(after)
    online = Network.new((width, *plan.hidden, actions if after is None else 1), rng)
    target, memory, optimiser = copied(online), Memory(plan.memory, width), Adam(online)
    seen, _ = env.reset(seed=seed)
    done = 0
    for step in range(1, plan.steps + 1):
        explores = rng.random() < plan.exploration(step - 1)
        action = int(rng.integers(actions)) if explores else greedy(online, seen, worth)
        then, reward, terminated, truncated, told = env.step(action)
        kept = (seen, action) if after is None else (after(seen[None, :])[0, action], 0)
        memory.add(Transitions(*(np.array([one]) for one in (*kept, reward, then, terminated))))
        if OTHERS in told:
            memory.add(told[OTHERS])
        seen = env.reset()[0] if terminated or truncated else then
        if step >= plan.warm_up and step % plan.train_every == 0:
            for _ in range(plan.updates):
                batch = memory.draw(plan.batch, rng)
                wanted = targets(batch, online, target, plan.discount, worth)
                rate = plan.learning_rate * (1.0 + (plan.rate_left - 1.0) * step / plan.steps)
                optimiser.step(online, gradients(online, batch, wanted), rate)
                done += 1
                if done % plan.target_every == 0:
                    target = copied(online)
        if step % plan.checkpoint_every == 0 or step == plan.steps:
            yield Checkpoint(step, copied(online))


def of_afterstates(after: Callable[[NDArray], NDArray]) -> Worth:
    """The worth of each action: the network's one value of what it leads to."""

    def worth(network: Network, seen: NDArray) -> Array:
        sights = after(seen)
        return network.values(sights.reshape(-1, sights.shape[-1])).reshape(sights.shape[:2])

    return worth


def greedy(network: Network, seen: NDArray, worth: Worth = Network.values) -> int:
    """The action of the highest value, the first of several."""
    return int(worth(network, seen[None, :])[0].argmax())


def returned(env: gym.Env, network: Network, *, episodes: int, seed: int) -> float:
    """Mean return of greedy episodes that begin by seeds of their own."""
    total = 0.0
    for episode in range(episodes):
        seen, _ = env.reset(seed=seed + episode)
        over = False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(greedy(network, seen))
            total += float(reward)
            over = terminated or truncated
    return total / episodes


def best(checkpoints: Iterator[Checkpoint], judged: Callable[[Network], float]) -> tuple[Checkpoint, float]:
    """The checkpoint that is judged best, the first of several, and its figure."""
    found = [(one, judged(one.network)) for one in checkpoints]
    return max(found, key=lambda pair: (pair[1], -pair[0].step))
