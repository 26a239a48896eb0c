"""Notebook 07: what learnt weights earned beside everything simpler, and where they stand."""

import polars as pl

from bq.core.numerals import with_sign
from bq.tuning.weights.figures import BESIDE, GIVEN, HELD_OUT, LEARNT, WALKED
from bq.tuning.weights.results import Studied
from bq.workbench import plots
from bq.workbench.phrases import interval
from bq.workbench.reading import learnt as reading
from bq.workbench.told import Reading, Told

DRAWN = (LEARNT, GIVEN, "leader", "hedge")  # of a running sum: more would not be told apart
AXES = {"x_title": "session", "y_title": "sum of results, not compounded"}


def weights_table(studied: Studied, *, held_out: bool = False) -> Told:
    """What each way of choosing earned a session, and more than the given weights."""
    part = studied.record.part(HELD_OUT if held_out else WALKED)
    rows = []
    for name in (LEARNT, GIVEN, *BESIDE):
        net = studied.record.gain(part.part, name, "")
        over = "" if name == GIVEN else reading.shown(studied.record.gain(part.part, name, GIVEN))
        rows.append(
            (
                reading.NAMES[name],
                with_sign(net.value, 4),
                interval(net.low, net.high),
                over or "compared with",
            )
        )
    columns = ["weights", f"{studied.record.earns}, a session", "interval", "gain over the given weights"]
    table = pl.DataFrame(rows, schema=columns, orient="row")
    sentence = reading.held_out(studied.record) if held_out else reading.walked(studied.record)
    return Told(plots.table(table), sentence, table)


def weights_gains(studied: Studied) -> Told:
    """What learnt weights earned more than each alternative, walked forward."""
    gains = {name: studied.record.gain(WALKED, LEARNT, name) for name in (GIVEN, *BESIDE)}
    rows = [(reading.NAMES[name], gain.value, gain.low, gain.high) for name, gain in gains.items()]
    table = pl.DataFrame(rows, schema=["against", "gain", "low", "high"], orient="row")
    figure = plots.interval_dots(
        table,
        label="against",
        value="gain",
        low="low",
        high="high",
        baseline=0.0,
        title="Gain of learnt weights",
        x_title=f"{studied.record.earns}, a session",
    )
    return Told(figure, reading.beside(studied.record), table)


def weights_curves(studied: Studied, *, held_out: bool) -> Told:
    """Running sums over the test blocks, or over the holdout."""
    name = HELD_OUT if held_out else WALKED
    own = studied.curves.filter(pl.col("part") == name).select("session", *DRAWN).sort("session")
    named = own.rename({column: reading.NAMES[column] for column in DRAWN})
    figure = plots.cumulative(named, "session", named.columns[1:], title=f"Running sum, {name}", **AXES)
    sentence = reading.held_out(studied.record) if held_out else reading.hedge(studied.record)
    return Told(figure, sentence, own)


def weights_paths(studied: Studied) -> Told:
    """The weights session by session, test blocks and holdout."""
    names = studied.record.components
    own = studied.curves.select("session", *(pl.col(f"weight_{name}").alias(name) for name in names)).sort("session")
    shown = own.rename({name: name.replace("_", " ") for name in names})
    figure = plots.lines(
        shown, "session", shown.columns[1:], title="Learnt weights", x_title="session", y_title="share of the score"
    )
    return Told(figure, reading.moved(studied.record), own)


def weights_seeds(studied: Studied) -> Told:
    """What single seeds gained in each test block."""
    own = studied.curves.filter(pl.col("part") == WALKED)
    names = [name for name in own.columns if name.startswith("seed_")]
    table = own.group_by("block").agg((pl.col(name) - pl.col(GIVEN)).mean() for name in names).sort("block")
    matrix = table.select(names).to_numpy().T
    figure = plots.heatmap(
        matrix,
        [name.replace("_", " ") for name in names],
        [f"block {block}" for block in table["block"]],
        title="Gain of each seed over the given weights",
        x_title="test block",
        y_title="seed",
        z_title="mean of a session",
    )
    return Told(figure, reading.seeds(studied.record), table)


def weights_proof(studied: Studied) -> Reading:
    """What the study proves, and what the gate says."""
    found = studied.record
    return Reading(reading.held_out(found), reading.walked(found), reading.beside(found), reading.gate(found))
