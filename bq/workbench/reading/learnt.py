"""What is said of learnt weights."""

from bq.core.numerals import bounds, decimal, percent, with_sign
from bq.tuning.weights.figures import BESIDE, GIVEN, HELD_OUT, LEARNT, WALKED
from bq.tuning.weights.results import Gain, PartOf, WeightsRecord
from bq.workbench.phrases import counted, interval, listed

NAMES = {
    LEARNT: "learnt weights",
    GIVEN: "the given weights",
    "constant": "the best constant weights of Optuna",
    "leader": "the best constant weights of the grid",
    "hedge": "Hedge over the grid",
    "ridge": "weights by ridge regression",
    "bandit": "a bandit that sees no state",
}


def shown(gain: Gain) -> str:
    """A figure with its interval."""
    return f"{with_sign(gain.value, 4, missing='no figure')} {interval(gain.low, gain.high)}"


def better(gain: Gain) -> bool | None:
    """Whether one beats the other beyond chance, is worse beyond it (False), or neither."""
    if gain.low is None or gain.high is None or gain.low <= 0.0 <= gain.high:
        return None
    return gain.low > 0.0


def held_out(found: WeightsRecord) -> str:
    """Would learnt weights have outperformed the given ones over the last days, which nothing was learnt from?"""
    part, gain = found.part(HELD_OUT), found.gain(HELD_OUT, LEARNT, GIVEN)
    verdict = {True: "Yes", False: "No, they were worse", None: "That cannot be told"}[better(gain)]
    return (
        "Would learnt weights have outperformed the given ones over the last 180 days, from which nothing was learnt? "
        f"{verdict}: from {part.first} to {part.last} they earned {shown(gain)} a session more ({found.earns}; "
        f"{_sample(part, gain)})."
    )


def walked(found: WeightsRecord) -> str:
    """The same over the test blocks of the walk-forward."""
    part, gain = found.part(WALKED), found.gain(WALKED, LEARNT, GIVEN)
    verdict = {
        True: "beat the given ones beyond chance",
        False: "are worse than the given ones beyond chance",
        None: "and the given ones do not differ beyond chance",
    }[better(gain)]
    return (
        f"Walked forward, {part.first} to {part.last}, learnt weights {verdict}: {shown(gain)} a session "
        f"({_sample(part, gain)})."
    )


def beside(found: WeightsRecord) -> str:
    """Which comparators learnt weights beat in the walk-forward, which beat them, and which neither."""
    gains = {name: found.gain(WALKED, LEARNT, name) for name in BESIDE}
    groups = {True: "beat", False: "are beaten by", None: "do not differ beyond chance from"}
    told = []
    for side, words in groups.items():
        names = [f"{NAMES[name]} ({shown(gain)})" for name, gain in gains.items() if better(gain) is side]
        if names:
            told.append(f"Learnt weights {words} {listed(names)}.")
    return " ".join(told)


def hedge(found: WeightsRecord) -> str:
    """How Hedge fared against the best constant point known afterwards."""
    own = found.hedge
    return (
        f"Hedge's regret against the best constant point, known afterwards, is {decimal(own.value, 1)} in rewards from "
        f"0 to 1 over {counted(own.sessions, 'session')}; with results known at once it is at most "
        f"{decimal(own.bound, 1)}, and here they are known later."
    )


def seeds(found: WeightsRecord) -> str:
    """How much depends on the seed."""
    own = found.spread
    return (
        f"Agents of single seeds gain {with_sign(own.value, 4)} {bounds(own.low, own.high, 4)} a "
        f"session over the given weights (interquartile mean over {own.seeds} seeds × {own.blocks} test blocks; the "
        "interval is of the choice of seeds alone and says nothing about the market)."
    )


def moved(found: WeightsRecord) -> str:
    """Where the weights stand, and how fast they move."""
    now = listed(
        [f"{name} {percent(share)}" for name, share in zip(found.components, found.newest, strict=True)]
    ).replace("_", " ")
    return f"At the end of the holdout the weights are {now}. From session to session {percent(found.moved, 1)} moves."


def gate(found: WeightsRecord) -> str:
    """What the gate says."""
    kept = [one for one in found.components_of_gate if not one.holds]
    if found.deploys:
        return "They pass the gate."
    return f"The gate keeps the given weights: {len(kept)} of {len(found.components_of_gate)} components do not hold."


def _sample(part: PartOf, gain: Gain) -> str:
    return (
        f"{counted(part.sessions, 'session')}, {decimal(gain.blocks, 1)} independent blocks, "
        f"{counted(part.trades, 'trade')} each"
    )
