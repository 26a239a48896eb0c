"""An audit of features, for people: one row a feature, its verdict in words, and how to read the figures."""

from typing import Any

import polars as pl

from bq.audit import leaks
from bq.audit.association import SURE, Association
from bq.audit.figures import PAST_SESSIONS
from bq.audit.leaks import Audit, Labels, Line
from bq.core.numerals import percent, significant
from bq.serving.verdict_text import ACCUSED
from bq.strategies.component import Note
from bq.workbench.phrases import counted

CLEAN = "clean"
NOTES = {
    Note.CONSTANT: "constant in a training window",
    Note.NOT_OF_BARS: "does not change with the bars: where it comes from is not audited",
}
HOW = (
    "**Later bars**: of a feature of your own, values that change when it is computed on bars that end earlier (a "
    "leak). **Unit**: values that change with the unit of price, which later splits and dividends set. **Served**: "
    "values that differ when the events of a session are built on that day's bars alone. **Within** and **between**: "
    "rank correlation with the outcome within sessions, and of session means; a feature is accused where it surely "
    f"({significant(SURE, 6)} standard errors) exceeds {significant(leaks.PLAUSIBLE, 6)} and falls in each shift into "
    f"the future that is known, or surely exceeds {significant(leaks.CERTAIN, 6)}. **+1, +5**: the feature of so many "
    "sessions later against the same outcomes; one that only looks back mostly rises. **Shuffled**: what is left "
    "when outcomes are permuted within sessions, which is what the feature knows of whole sessions. **Past**: with "
    f"the return of the {PAST_SESSIONS} sessions before, for comparison: momentum and reversal have it rightly."
)
LIMITS = (
    "A leak that is not computed from bars, and goes with outcomes less than that, is not seen. Features are as good "
    "as the bars: a revised history, or names chosen because they survived, is not seen either."
)


def verdict(found: Audit) -> str:
    """How many features are accused, and what follows."""
    number = len(found.accused)
    if not number:
        return "No feature is accused of knowing the future."
    names = ", ".join(line.feature for line in found.accused)
    return f"{counted(number, 'feature')} accused: {names}. A retrain keeps the champion while they are in use."


def of_labels(labels: Labels) -> str:
    """How much independent evidence there is, and that training keeps test blocks apart."""
    apart = "none of their labels reaches" if not labels.reaching else f"{labels.reaching:,} of their labels reach"
    return (
        f"{labels.events:,} matured events in {labels.sessions:,} sessions; a label spans up to {labels.span} of "
        f"these sessions, of which {percent(labels.uniqueness)} are its own on average. Training events of "
        f"{labels.folds} folds: {apart} into a test block."
    )


def by_feature(found: Audit) -> pl.DataFrame:
    """One row a feature, accused ones first: verdict, and the figures behind it."""
    order = sorted(found.lines, key=lambda line: (not line.accusations, not line.notes))
    return pl.DataFrame([_row(line) for line in order], infer_schema_length=None)


def _row(line: Line) -> dict[str, Any]:
    shifts = {f"+{ahead}": _number(shift.value) for ahead, shift in line.figures.shifts.items()}
    group = {f"between +{ahead}": _number(shift.value) for ahead, shift in line.figures.group_shifts.items()}
    return {
        "feature": line.feature,
        "verdict": told(line),
        "later bars": _share(line.truncation.changed, line.truncation.compared),
        "unit": _share(line.unit.changed, line.unit.compared),
        "served": _share(line.served.changed, line.served.compared),
        **_with_error("within", line.figures.within),
        **shifts,
        **_with_error("between", line.figures.between),
        **group,
        "shuffled": _number(line.figures.shuffled.value),
        "past": _number(line.figures.past.value),
        "constant folds": line.constant_folds,
    }


def told(line: Line) -> str:
    """A feature's verdict in words."""
    said = [ACCUSED[kind] for kind in line.accusations]
    if line.truncation.fault:
        said.append(line.truncation.fault)
    if said:
        return f"LEAKS: {'; '.join(said)}"
    return "; ".join([CLEAN, *(NOTES[note] for note in line.notes)])


def _with_error(name: str, found: Association) -> dict[str, float | None]:
    return {name: _number(found.value), f"{name} error": _number(found.error)}


def _number(value: float) -> float | None:
    return None if value != value else float(value)


def _share(changed: int, compared: int) -> str:
    return f"{changed:,} of {compared:,}" if compared else "–"
