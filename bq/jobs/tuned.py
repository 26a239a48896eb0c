"""The first screen of a tuning: what the winner earned beside what it is held against, and its figures."""

from typing import Any

import polars as pl

from bq.core.numerals import significant
from bq.jobs.presentation import thinned
from bq.runs.verdict import Running, Shown, Verdict
from bq.tuning.results import Tuned

HELD = {"winner": "winner", "given": "as given", "buy_and_hold": "buy and hold"}  # column of the curves: for people


def first_screen(verdict: Verdict, tuned: Tuned, of: str) -> Verdict:
    """The verdict with its picture and its figures. of : what the curves are of, for people."""
    return verdict.model_copy(update={"running": _running(tuned, of), "shown": _figures(tuned.results)})


def _running(tuned: Tuned, of: str) -> Running | None:
    """None where fewer than two sessions have a result."""
    known = [name for name in HELD if name in tuned.curves.columns]
    sums = tuned.curves.sort("session").with_columns(pl.col(known).fill_nan(None).fill_null(0.0).cum_sum())
    if len(sums) < 2:
        return None
    shown = thinned(sums)
    lines = dict(zip(("model", "rule", "everything"), (shown[name].to_list() for name in known), strict=False))
    over = " and ".join(f"the {part}" for part in tuned.curves["part"].unique(maintain_order=True))
    return Running(of=of, over=over, names=[HELD[name] for name in known], sessions=shown["session"].to_list(), **lines)


def _figures(found: dict[str, Any]) -> list[Shown]:
    """Of each part of time, the later first, the winner's figure beside what it is held against; then the search."""
    cells = [_figure(found["objective"], part) for part in reversed(found["figures"])]
    feasible = sum(row["state"] == "feasible" for row in found["trials"])
    trials = Shown(name="trials", value=f"{len(found['trials']):,}", beside=f"{feasible:,} feasible")
    return [*cells, trials]


def _figure(objective: str, part: dict[str, Any]) -> Shown:
    beside = [f"as given {significant(part['given']['value'], sign=True)}"]
    if part.get("buy_and_hold") is not None:
        beside.append(f"buy and hold {significant(part['buy_and_hold'], sign=True)}")
    if part["winner"].get("trades") is not None:
        beside.append(f"{part['winner']['trades']:,} trades")
    name = f"{objective.replace('_', ' ')} of the winner, {part['part']}"
    return Shown(name=name, value=significant(part["winner"]["value"], sign=True), beside=", ".join(beside))
