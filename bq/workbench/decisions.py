"""Why decisions came out as they did: sentences made of their columns."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from bq.core.namespace import Tier
from bq.core.numerals import decimal, percent, significant, with_sign
from bq.core.settings import Settings
from bq.serving.ready import WhyNot
from bq.strategies.contract import Strategy
from bq.strategies.weighing import LEARNT, LEARNT_WEIGHTS

TIERS = {"champion": Tier.CHAMPION.label, "second": Tier.SECOND.label}  # by the end of their columns


class Reasons(NamedTuple):
    """What all decisions share, said once, and what is left of each."""

    shared: list[str]
    own: list[str]  # one a decision


def reasons(
    answer: pl.DataFrame, strategy: Strategy, settings: Settings, *, whole: bool = False, numbers: bool = True
) -> Reasons:
    """Of decisions with the columns of `bq.serving.decide.decide`, or of `bq.serving.out_of_sample.decide`.

    whole : every decision keeps its whole reason; else a rule by which all were made is said once, and of a decision
    only what its columns do not say. numbers : whether what decided is said at all.
    """
    rows = list(answer.iter_rows(named=True))
    once = rule(rows, strategy, settings) if numbers and not whole else ""
    told = []
    for row in rows:
        parts = decided(row, strategy, settings) if numbers else []
        told.append([*(parts[1:] if once else parts), *against(row, strategy, settings), *beside(row)])
    shared = [part for part in told[0] if all(part in parts for parts in told)] if len(told) > 1 and not whole else []
    own = ["; ".join(part for part in parts if part not in shared) for parts in told]
    return Reasons([*([once] if once else []), *shared], own)


def rule(rows: Sequence[Mapping[str, Any]], strategy: Strategy, settings: Settings) -> str:
    """By what all of these decisions were made; empty for one alone, and where they were made by different rules."""
    first = rows[0]
    differs = {(row["tier"], row["threshold"], row["most_a_session"]) for row in rows}
    if len(rows) < 2 or len(differs) > 1 or "priority" in first:
        return ""
    limit, most = significant(first["threshold"], 6), first["most_a_session"]
    which = "what has" if most is None else f"the best {most} of the session, if they have"
    if first["tier"] == Tier.CHAMPION:
        return f"it trades {which} an expected {strategy.task(settings).expected} above {limit}"
    if strategy.success is not None and first["tier"] == Tier.SECOND:
        return f"it trades {which} P({strategy.success.classes[-1]}) at or above {limit}"
    if by_learnt(first):
        at_most = "" if most is None else f", {most} a session at most"
        return f"it trades as many as have a rule score at or above {limit}{at_most}; the learnt score says which"
    return f"it trades {which} a rule score at or above {limit}"


def decided(row: Mapping[str, Any], strategy: Strategy, settings: Settings) -> list[str]:
    """What decided, and which side of its threshold it was on; behind that, whether others were better."""
    if strategy.backtester is not None and "priority" in row:
        return strategy.backtester.reason(row, settings)
    limit, trade = f"the {significant(row['threshold'], 6)} threshold", row["should_trade"]
    if row["tier"] == Tier.CHAMPION:
        value, above = row["expected"], row["expected"] > row["threshold"]
        said = f"expected {strategy.task(settings).expected} {decimal(value)}, {'above' if above else 'below'} {limit}"
    elif strategy.success is not None and row["tier"] == Tier.SECOND:
        value = row["class_probabilities"][-1]
        above = value >= row["threshold"]
        said = f"P({strategy.success.classes[-1]}) {decimal(value)}, {'at or above' if above else 'below'} {limit}"
    elif by_learnt(row):
        return [f"learnt score {decimal(row[LEARNT], 1)}, the rule score is {decimal(row['score'], 1)}"]
    else:
        above = row["score"] is not None and row["score"] >= row["threshold"]
        said = f"rule score {decimal(row['score'], 1)}, {'at or above' if above else 'below'} {limit}"
    return [said, f"not among the best {row['most_a_session']} of its session"] if above and not trade else [said]


def by_learnt(row: Mapping[str, Any]) -> bool:
    """Whether the rules chose by the score by learnt weights."""
    return row["tier"] == Tier.RULE and row.get(LEARNT) is not None


def learnt(answer: pl.DataFrame, strategy: Strategy, settings: Settings) -> str:
    """By which weights the rule score decides, where learnt ones are asked for; empty where they are not."""
    if LEARNT_WEIGHTS not in answer.columns or strategy.weighing is None:
        return ""
    weights = answer[LEARNT_WEIGHTS].drop_nulls()
    given = strategy.weighing.given(settings)
    if weights.is_empty():
        return f"Learnt weights are asked for, but none are deployed: {_shares(given, strategy)} as given."
    return f"Learnt weights: {_shares(weights[0], strategy)} (given: {_shares(given, strategy)})."


def _shares(weights: Sequence[float], strategy: Strategy) -> str:
    assert strategy.weighing is not None
    pairs = zip(strategy.weighing.components, weights, strict=True)
    return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in pairs)


def against(row: Mapping[str, Any], strategy: Strategy, settings: Settings) -> list[str]:
    """Columns of a decision that say the opposite of it, and that they did not decide."""
    task, trade = strategy.task(settings), row["should_trade"]
    classes = strategy.success.classes if row["tier"] == Tier.SECOND and strategy.success else task.classes
    by_expectation = row["tier"] == Tier.CHAMPION and "priority" not in row
    said = []
    if classes and row["predicted_class"] == classes[0 if trade else -1]:
        said.append(f"class {row['predicted_class']}")
    if row["expected"] is not None and not by_expectation and (row["expected"] > 0) != trade:
        said.append(f"expected {task.expected} {with_sign(row['expected'])}")
    if not said:
        return []
    one, side = len(said) == 1, "against" if trade else "for"
    return [f"{' and '.join(said)} {'speaks' if one else 'speak'} {side} it, but {'does' if one else 'do'} not decide"]


def beside(row: Mapping[str, Any]) -> list[str]:
    """What else a reader of a decision should know: in sample, unlike the training, and who could not answer."""
    said = []
    if row["in_sample"]:
        said.append(f"in sample, no evidence: the model was trained on events up to {row['trained_through']:%Y-%m-%d}")
    if row["outside_support"]:
        said.append(f"outside the training support: {', '.join(row['outside_support'])}")
    if "priority" in row:  # the backtester's reason has said who was asked
        return said
    parts = [_why_not(row[f"why_not_{tier}"], row[f"{tier}_fault"], label) for tier, label in TIERS.items()]
    return [*said, *filter(None, parts)]


def _why_not(why: str | None, fault: str | None, label: str) -> str:
    if why is None or why == WhyNot.NO_SECOND_TIER:
        return ""
    if why == WhyNot.NOT_ASKED:
        return f"the parameters ask for no {label}"
    return f"no {label} is deployed" if fault is None else f"the {label} cannot answer: {fault.rstrip('.')}"
