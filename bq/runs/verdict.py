"""The verdict of a gate as stored in a run: facts, and the text that they were shown as."""

import datetime as dt
from enum import StrEnum
from typing import Any

from bq.core.records import Facts, Number, Record
from bq.strategies.component import Component, Kind


class Decision(StrEnum):
    """Decision on a candidate, or on the best trial of a tuning."""

    DEPLOYED = "deployed"
    KEPT = "kept"
    QUICK_LOOK = "quick look"
    PASSED = "passed"
    REJECTED = "rejected"
    DONE = "done"


class Part(Facts):
    """A component as text, and its facts: None in version 1, which stored text alone."""

    name: str
    holds: bool | None
    statement: str
    needed: str = ""
    facts: Component | None = None

    @property
    def mark(self) -> str:
        """Whether it holds, in a word."""
        return {True: "holds", False: "fails", None: "inconclusive"}[self.holds]


class Table(Facts):
    """Figures as text."""

    columns: list[str] = []
    rows: list[list[str]] = []
    note: str = ""


class Figure(Facts):
    """The figure that the gate decides by, for a model and its baseline."""

    name: str
    value: Number
    low: Number = None
    high: Number = None
    baseline: Number = None
    baseline_is: str = ""


class Running(Facts):
    """What was earned so far, session by session: running sums over the out-of-sample sessions."""

    of: str  # what is summed, such as the net outcome of at most 5 trades a session
    over: str = "out-of-sample sessions (holding times overlap)"
    names: list[str] = ["model", "rule score", "every event"]  # of the next three
    sessions: list[dt.date]
    model: list[Number]
    rule: list[Number]  # the rule score
    everything: list[Number] = []  # taking every event; empty where there is no third line
    low: list[Number] = []  # of the model's interval: its bounds a session times the sessions so far
    high: list[Number] = []


class Shown(Facts):
    """A figure of the first screen as text, with what stands beside it: interval, baseline or threshold."""

    name: str
    value: str
    beside: str


class Split(StrEnum):
    """By what events are told apart."""

    SYMBOL = "symbol"
    KIND = "kind"  # the strategy's own, such as the structure of an option position
    YEAR = "year"


class Without(Facts):
    """Figures of a gate once more, as they are without the events of one group."""

    split: Split
    called: str  # by the strategy, such as structure
    group: str
    events: int  # left out
    figures: list[Component]


class Loosened(Facts):
    """A parameter of the gate that is looser than what needs no mention."""

    parameter: str
    value: Number  # None: nothing is asked
    floor: Number


class Verdict(Record):
    """The content of verdict.json."""

    schema_version: int = 2
    decision: Decision
    headline: str
    reasons: list[str] = []
    needed: list[str] = []
    components: list[Part] = []
    second_tier: list[str] = []
    second_components: list[Part] = []
    table: Table = Table()
    figure: Figure | None = None
    running: Running | None = None  # None of a run that kept none
    shown: list[Shown] = []  # figures of the first screen that no component holds
    loosened: list[Loosened] = []  # in what the gate was loosened
    without: list[Without] = []  # the largest contributors of each split, in order; empty of a run that kept none

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Version 1, of 0.1: a missing table was null."""
        if content.get("table", "") is None:
            del content["table"]
        return content

    def part(self, kind: Kind) -> Part | None:
        """The component of a kind; None where it was not required, or where text alone is known."""
        return next((part for part in self.components if part.facts and part.facts.kind == kind), None)
