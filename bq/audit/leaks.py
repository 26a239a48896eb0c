"""The audit of a table of events: one line a feature, with what it is accused of.

A feature leaks where it holds what is known only later. Three things show it:

- Truncation decides for whatever is computed from bars: the value at a session's close, computed again on bars that end
  there, must be the same. So must the value in another unit of price, which follows from later splits and dividends.
- Serving: the events of some sessions, built again as a decision of that day builds them, have the same features.
- Association is for what bars do not explain, such as labels read from a file. No honest feature of daily data surely
  goes with its outcome as strongly as `PLAUSIBLE`; one that does, and goes with it less when it is shifted into the
  future (where a feature that only looks back knows part of the outcome itself), was made of the outcome: of the
  event's own within sessions, of the whole session's between them.

What it cannot see: a leak that is not computed from bars and is weaker than that.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.audit.association import Association, Shift
from bq.audit.figures import Figures, Measured, numbers
from bq.audit.truncation import Changes, Checked, of_build, of_function
from bq.core.log import only_errors, progress
from bq.core.settings import Settings
from bq.learning import splits
from bq.learning.sample import overlap
from bq.learning.walkforward import CARRIED, matured_events
from bq.market import MarketData
from bq.strategies import registered
from bq.strategies.component import Accusation, Note
from bq.strategies.contract import Strategy
from bq.strategies.events import MINE

PLAUSIBLE = 0.2  # correlation with the outcome; above it, and falling when shifted, a feature is accused
CERTAIN = 0.5  # … and above this without a look at the shifts, which may not be known


class Line(NamedTuple):
    """What was found of one feature."""

    feature: str
    accusations: tuple[Accusation, ...]
    notes: tuple[Note, ...]
    truncation: Changes  # of the function, of one of the user's own; without later bars
    unit: Changes  # the same in another unit of price
    served: Changes  # built again on the day
    figures: Figures
    constant_folds: int


class Labels(NamedTuple):
    """How the labels of the events overlap, and whether training keeps them apart."""

    events: int  # matured
    sessions: int
    span: int  # sessions that a label spans at most
    uniqueness: float  # mean share of a label that is its own
    folds: int
    reaching: int  # training labels that end inside the test block of their fold


class Audit(NamedTuple):
    """The audit of the features of a table."""

    lines: list[Line]
    labels: Labels

    @property
    def accused(self) -> list[Line]:
        """The lines with an accusation."""
        return [line for line in self.lines if line.accusations]


class Depth(NamedTuple):
    """How much is computed again, and what is measured beside what an accusation needs."""

    cuts: int  # histories a symbol, of the user's own features
    sessions: int  # built again …
    twice: bool  # … also on bars of one session more
    shown: bool  # figures that accuse of nothing: for people


BEFORE_A_GATE = Depth(cuts=4, sessions=4, twice=False, shown=False)
WHOLE = Depth(cuts=16, sessions=12, twice=True, shown=True)


def audit(events: pl.DataFrame, market: MarketData, strategy: Strategy, settings: Settings, *, depth: Depth) -> Audit:
    """Audit the features that the settings name.

    events : as `store.collect` gives them for the settings and the market, or a training's with the same ids.

    Raises BadData where too few have matured, or where a feature of the user's own cannot be computed.
    """
    seed, columns = settings.learning.seed, strategy.features(settings).columns
    with only_errors():  # what there is to say of building events was said when they were built
        served = of_build(events, market, strategy, settings, at=depth.sessions, twice=depth.twice, seed=seed)
    placed = events.with_row_index("row")
    matured = matured_events(placed, strategy.task(settings), columns=[*CARRIED, "weight", "row"])
    mine = [name for name in columns if name.startswith(MINE)]
    bars, own = (registered.inputs(market), registered.known()) if mine else (pl.DataFrame(), {})
    checked = {name: of_function(own[name], bars, cuts=depth.cuts, seed=seed) for name in mine}
    folds = splits.purged_walk_forward(matured, settings.learning)
    table = Measured(matured, market, {name: registered.compute(own[name], bars) for name in mine})
    lines = []
    for name in progress(columns, total=len(columns), description="features"):
        column = events[name].gather(matured["row"])  # one at a time: all of them are as large as the events
        figures = table.figures(column, above=PLAUSIBLE, shown=depth.shown, seed=seed)
        training = [numbers(column.gather(fold.train)) for fold in folds]
        lines.append(_line(name, checked.get(name), served[name], figures, training))
    return Audit(lines, _labels(matured, folds))


def _line(
    name: str, checked: Checked | None, served: Changes, figures: Figures, training: list[NDArray[np.float64]]
) -> Line:
    """training : values of the feature in the training window of each fold."""
    constant = sum(map(_is_constant, training))
    truncation, unit, of_bars = checked or Checked(Changes(), Changes(), True)
    accused = {
        Accusation.LATER_BARS: truncation.changed > 0,
        Accusation.UNIT: unit.changed > 0,
        Accusation.SERVED: served.changed > 0 or bool(truncation.fault),
        Accusation.LABEL: _too_good(figures.within, figures.shifts),
        Accusation.GROUP: _too_good(figures.between, figures.group_shifts),
    }
    notes = {Note.CONSTANT: constant > 0, Note.NOT_OF_BARS: not of_bars}
    return Line(
        feature=name,
        accusations=tuple(kind for kind, holds in accused.items() if holds),
        notes=tuple(kind for kind, holds in notes.items() if holds),
        truncation=truncation,
        unit=unit,
        served=served,
        figures=figures,
        constant_folds=constant,
    )


def _too_good(found: Association, shifts: dict[int, Shift]) -> bool:
    """Whether an association is stronger than an honest feature's, and falls when the feature is shifted."""
    if found.surely > CERTAIN:
        return True
    seen = [shift for shift in shifts.values() if shift.known]
    return bool(found.surely > PLAUSIBLE and seen and all(shift.worse for shift in seen))


def _is_constant(values: NDArray[np.float64]) -> bool:
    known = values[np.isfinite(values)]
    return not len(known) or bool(known.min() == known.max())


def _labels(matured: pl.DataFrame, folds: list[splits.Fold]) -> Labels:
    due = matured["t1_due"]
    reaching = sum(int((due.gather(fold.train) >= fold.start).sum()) for fold in folds)
    return Labels(
        events=len(matured),
        sessions=matured["session"].n_unique(),
        span=overlap(matured),
        uniqueness=float(matured["weight"].mean()),  # type: ignore[arg-type]
        folds=len(folds),
        reaching=reaching,
    )
