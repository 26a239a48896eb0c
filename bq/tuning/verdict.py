"""The verdict on a tuning as text: figures of winner and given parameters, the joint gate, and sentences."""

import math
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from optuna.trial import FrozenTrial

from bq.core.numerals import decimal, percent, significant
from bq.core.settings import Settings
from bq.serving import verdict_text
from bq.strategies.backtester import Score, Span
from bq.tuning import results
from bq.tuning.evidence import LEAST_PROBABILITY, MOST_OVERFITTING, Evidence
from bq.tuning.results import Tuned, rounded_values
from bq.tuning.scoring import Scores
from bq.tuning.study import Study
from bq.tuning.windows import Windows

HOLDOUT = "holdout"  # name of that part of time, and the kind of its trials in the ledger


class Part(NamedTuple):
    """One part of time, scored with the winner and with the given parameters."""

    name: str
    winner: Score
    given: Score


class Found(NamedTuple):
    """Everything that a tuning of a strategy found."""

    settings: Settings  # as given
    objective: str  # its name
    study: Study
    name: str | None  # under which it is kept
    best: FrozenTrial
    windows: Windows
    parts: list[Part]  # training, validation, holdout
    scores: Scores
    evidence: Evidence
    looks: int  # times that sessions of this holdout were scored, this one included


def tuned(found: Found, outcome: str) -> Tuned:
    """The results, with the verdict as report and terminal show it; outcome : name of a trade's outcome, for people."""
    _, validation, holdout = found.parts
    shares = {
        "deflated": found.evidence.deflated._asdict(),
        "overfitting": found.evidence.overfitting,
        "shrinkage": _shrinkage(validation.winner.value, holdout.winner.value),
        "reselected": _reselected(found),
        "holdout_looks": found.looks,
    }
    whole = {
        "target": "strategy",
        "strategy": found.settings.strategy,
        "objective": found.objective,
        **results.describe(found.study, name=found.name),
        "winner": {"number": found.best.number, "values": rounded_values(found.best)},
        "windows": _plain_windows(found.windows),
        "figures": [_figures(part) for part in found.parts],
        **shares,
    }
    whole["verdict"] = _verdict(found, whole, outcome)
    return Tuned(results.plain(whole), _curves(found.parts[1:]))


def _shrinkage(validation: float, holdout: float) -> float:
    """Share of the validation figure that is lost in the holdout."""
    return 1.0 - holdout / validation if validation > 0 else math.nan


def _reselected(found: Found) -> dict[str, float]:
    """Mean score from the second fold on, selecting before each fold on earlier folds only; and of winner and given."""
    folds = np.array([score.folds for _, score in sorted(found.scores.of.items())])
    picked = [folds[folds[:, :k].mean(axis=1).argmax(), k] for k in range(1, folds.shape[1])]
    others = {"winner": found.parts[1].winner.folds, "given": found.parts[1].given.folds}
    return {
        "reselected": float(np.mean(picked)),
        **{name: float(np.mean(values[1:])) for name, values in others.items()},
    }


def _verdict(found: Found, whole: dict[str, Any], outcome: str) -> dict[str, Any]:
    passed, parts = found.evidence.passed, [verdict_text.part(component) for component in found.evidence.components]
    return {
        "decision": "passed" if passed else "rejected",
        "headline": _headline(found.evidence),
        "reasons": _sentences(found, whole),
        "needed": [f"{part.name}: {part.needed}" for part in parts if part.needed],
        "components": [part.plain() for part in parts],
        "second_tier": [],
        "table": _table(found, outcome),
    }


def _headline(found: Evidence) -> str:
    """Passed because both hold, or rejected because of what does not."""
    share = "is inconclusive" if found.overfitting is None else f"is {percent(found.overfitting)}"
    probability = min(found.deflated.probability, found.deflated.revised)
    parts = [
        (f"the deflated Sharpe ratio has probability {decimal(probability)}", f"{LEAST_PROBABILITY} or more"),
        (f"the probability of overfitting {share}", f"below {percent(MOST_OVERFITTING)}"),
    ]
    because = " and ".join(
        f"{what} ({asked} required)"
        for (what, asked), part in zip(parts, found.components, strict=True)
        if bool(part.holds) == found.passed
    )
    return f"{'Passed' if found.passed else 'Rejected'} because {because}"


def _sentences(found: Found, whole: dict[str, Any]) -> list[str]:
    objective, (_, validation, holdout) = whole["objective"], found.parts
    shrunk = whole["shrinkage"]
    loss = f", a shrinkage of {percent(shrunk)}" if np.isfinite(shrunk) else ""
    feasible = sum(row["state"] == "feasible" for row in whole["trials"])
    reselected = whole["reselected"]
    sentences = [
        f"On the holdout, where the winner alone of these trials was scored, it has {objective} "
        f"{_number(holdout.winner.value)} with {holdout.winner.trades} trades, after "
        f"{_number(validation.winner.value)} on validation{loss}; the given parameters have "
        f"{_number(holdout.given.value)}, buy and hold {_number(holdout.winner.hold)}.",
        f"Re-selecting before each fold, on earlier folds only, would have scored "
        f"{_number(reselected['reselected'])} from the second fold on; the winner, selected afterwards, scored "
        f"{_number(reselected['winner'])}, the given parameters {_number(reselected['given'])}.",
        f"{feasible} of {len(whole['trials'])} trials were feasible (tuning.min_trades: "
        f"{found.settings.tuning.min_trades}).",
    ]
    if found.looks > 1:
        sentences.append(
            f"These holdout sessions were scored {found.looks} times so far; each time weakens what the holdout proves."
        )
    if found.name is None:
        sentences.append("Run by hand: the study is not kept; its trials and this score on the holdout count as looks.")
    return sentences


def _table(found: Found, outcome: str) -> dict[str, Any]:
    spans = {"training": found.windows.train, "validation": found.windows.validation, HOLDOUT: found.windows.holdout}
    rows = [
        [
            f"{part.name}, {_shown(spans[part.name])}",
            f"{_number(part.winner.value)} ({part.winner.trades} trades)",
            f"{_number(part.given.value)} ({part.given.trades} trades)",
            _number(part.winner.hold),
        ]
        for part in found.parts
    ]
    from bq.market.calendars import periods_per_year

    folds, year = found.windows.folds, periods_per_year(found.settings.market.calendar)
    note = (
        f"Validation: mean of {len(folds)} folds, each from fresh capital. Annual ratios from daily returns ({year} "
        f"sessions, risk-free rate 0); expectancy in {outcome}, after costs. The training part chooses nothing."
    )
    return {
        "columns": [found.objective, f"winner (trial {found.best.number})", "as given", "buy and hold"],
        "rows": rows,
        "note": note,
    }


def _figures(part: Part) -> dict[str, Any]:
    return {
        "part": part.name,
        "buy_and_hold": part.winner.hold,
        **{
            who: {"value": made.value, "folds": made.folds, "trades": made.trades}
            for who, made in (("winner", part.winner), ("given", part.given))
        },
    }


def _curves(parts: list[Part]) -> pl.DataFrame:
    """Daily returns: session, part, winner, given, buy_and_hold."""
    return pl.concat(
        part.winner.series.select(
            "session",
            part=pl.lit(part.name),
            winner="value",
            given=part.given.series["value"],
            buy_and_hold="buy_and_hold",
        )
        for part in parts
    )


def _plain_windows(windows: Windows) -> dict[str, Any]:
    def pair(span: Span) -> list[str]:
        return [str(span.start), str(span.end)]

    return {
        "train": pair(windows.train),
        "folds": [pair(span) for span in windows.folds],
        HOLDOUT: pair(windows.holdout),
    }


def _shown(span: Span) -> str:
    return f"{span.start:%Y-%m} to {span.end:%Y-%m}"


def _number(value: float) -> str:
    return significant(value, sign=True)
