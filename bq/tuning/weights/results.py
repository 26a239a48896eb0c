"""What a study of score weights found, as facts: one JSON, and what everyone earned session by session."""

import datetime as dt
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bq.core import files
from bq.core.errors import BadData
from bq.core.records import Facts, Number, Record
from bq.serving.model_records import ParityRecord
from bq.stats.bootstrap import Interval
from bq.strategies.component import Component

RECORD, CURVES = "weights.json", "weights.parquet"
REMEDY = "Run `make tune-weights`."


class Gain(Facts):
    """A mean over the sessions of a part, with its interval."""

    who: str  # learnt, given, or a comparator
    over: str  # whom; empty: the net result itself
    value: Number
    low: Number = None  # None: too few sessions for one
    high: Number = None
    sessions: int
    blocks: Number

    @staticmethod
    def of(who: str, over: str, found: Interval) -> "Gain":
        """From an interval."""
        own = {"value": found.mean, "low": found.low, "high": found.high}
        return Gain(who=who, over=over, **own, sessions=found.n, blocks=found.blocks)


class Seeds(Facts):
    """Interquartile mean of single seeds' gains over the given weights, a test block each; interval over seeds."""

    value: Number
    low: Number
    high: Number
    seeds: int
    blocks: int


class Regret(Facts):
    """Hedge's regret against the best constant point, in rewards from 0 to 1, and its bound without delay."""

    value: Number
    bound: Number
    sessions: int


class PartOf(Facts):
    """A part of time."""

    part: str
    first: dt.date
    last: dt.date
    sessions: int
    trades: int
    gains: list[Gain]


class WeightsRecord(Record):
    """The content of weights.json."""

    strategy: str
    study: str
    earns: str  # what is earned of a session, for people
    components: list[str]
    given: list[float]  # shares
    steps: int  # of each training
    seeds: int
    trials: int  # policies that were learnt: one a part and seed
    parts: list[PartOf]  # walk-forward, holdout
    spread: Seeds
    hedge: Regret
    points: dict[str, list[list[int]]]  # of constant comparators: percent of each component, for each part of time
    newest: list[float]  # shares by which the policy chooses at the end of the holdout
    moved: float  # mean share of the weights that changed from session to session
    parity: ParityRecord
    components_of_gate: list[Component]
    deploys: bool  # whether the gate lets the policy pass
    model_id: str
    source: str

    def part(self, name: str) -> PartOf:
        """A part of time by its name."""
        return next(one for one in self.parts if one.part == name)

    def gain(self, part: str, who: str, over: str) -> Gain:
        """A figure."""
        return next(one for one in self.part(part).gains if (one.who, one.over) == (who, over))


class Studied(NamedTuple):
    """A finished study: its facts, and what everyone earned (`figures.Beside.curves`)."""

    record: WeightsRecord
    curves: pl.DataFrame


def save(found: Studied, folder: Path) -> None:
    """Write everything into a run folder."""
    found.record.write(folder / RECORD)
    files.write_parquet(folder / CURVES, found.curves)


def load(folder: Path | str) -> Studied:
    """Read what `save` wrote. Raises BadData where there is none."""
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise BadData(f"{folder}: must hold {RECORD} of learnt weights, but does not. {REMEDY}")
    record = WeightsRecord.read(folder / RECORD, what=f"{folder.name}: {RECORD}", remedy=REMEDY)
    return Studied(record, files.read_parquet(folder / CURVES))
