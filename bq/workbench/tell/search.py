"""Notebook 06: what a search found, which parameters mattered, and what is left of it on sessions no trial saw."""

import re
import textwrap

import optuna.visualization as vis
import polars as pl
from optuna.distributions import CategoricalDistribution

from bq.core.numerals import significant
from bq.core.settings import Settings
from bq.tuning import parameters
from bq.tuning.results import Tuned
from bq.workbench import plots, reading, theme
from bq.workbench.told import Reading, Told

ENOUGH = 10  # trials from which it can be said what mattered
SHOWN = 15  # best trials of the table
BAR = 8  # px of a colour bar
PARTS = {"y_title": "sum of returns, not compounded", "x_title": "session"}


def parts(tuned: Tuned) -> Told:
    """The best trial beside the given parameters, on each part of time."""
    found = tuned.results["verdict"]["table"]
    table = pl.DataFrame(found["rows"], schema=found["columns"], orient="row")
    return Told(plots.table(table), f"{tuned.results['verdict']['headline']}.", table)


def values(tuned: Tuned, settings: Settings) -> Told:
    """The values of the winner beside the given ones."""
    given = parameters.values_of(settings, tuned.results["ranges"])
    rows = [
        (name, str(given.get(name, "default")), str(value)) for name, value in tuned.results["winner"]["values"].items()
    ]
    table = pl.DataFrame(rows, schema=["parameter", "as given", "winner"], orient="row")
    moved = table.filter(pl.col("as given") != pl.col("winner"))["parameter"].to_list()
    sentence = f"The winner changes {len(moved)} of {reading.counted(len(table), 'parameter')}."
    if not moved:
        sentence = "The winner has the values that were given: there is nothing to change."
    return Told(plots.table(table), sentence, table)


def curves(tuned: Tuned, *, chosen: bool) -> Told:
    """Running sums of what winner and given parameters earned.

    chosen : on the part that the winner was chosen on; else on the part that no trial saw.
    """
    part, last = tuned.curves["part"][0], tuned.curves["part"][-1]
    if not chosen and part == last:
        return Told(None, "This search holds no sessions out: the gate of a retrain judges the winner on later events.")
    shown, title = (part, f"Running sum, {part} (winner chosen on it)") if chosen else (last, _held_out(tuned, last))
    names = {name: name.replace("_", " ") for name in tuned.curves.columns if name not in ("session", "part")}
    frame = tuned.curves.filter(pl.col("part") == shown)
    figure = plots.cumulative(frame.rename(names), "session", list(names.values()), title=title, **PARTS)
    return Told(figure, reading.sums(frame, names, where=f"On the {shown}"), frame)


def _held_out(tuned: Tuned, part: str) -> str:
    looks = tuned.results.get("holdout_looks", 1)
    return f"Running sum, {part}: looked at {'once' if looks <= 1 else f'{looks} times'}"


def history(tuned: Tuned) -> Told:
    """Value of each trial in order, and the best so far."""
    objective, table = tuned.results["objective"], tuned.trials
    figure = vis.plot_optimization_history(tuned.study, target_name=objective)
    theme.titled(figure, title="Optimisation history", note=reading.counted(len(table), "trial"), height=400)
    return Told(figure, reading.search(table, objective), table)


def trials(tuned: Tuned) -> Told:
    """The best trials."""
    table = tuned.trials.head(SHOWN)
    feasible = (tuned.trials["state"] == "feasible").sum()
    return Told(plots.table(table), f"{feasible} of {reading.counted(len(tuned.trials), 'trial')} are feasible.", table)


def infeasible(tuned: Tuned) -> Told:
    """Trials that could not be chosen, by reason."""
    refused = tuned.trials.filter(pl.col("state") == "infeasible").group_by("reason").len("trials")
    table = refused.sort("trials", "reason", descending=[True, False]).head(10)
    if table.is_empty():
        return Told(None, "Every trial could be chosen.", table)
    sentence = f"Most often: {table['reason'][0]} ({reading.counted(table['trials'][0], 'trial')})."
    return Told(plots.table(table), sentence, table)


def parameter_importances(tuned: Tuned) -> Told:
    """Share of each parameter in the spread of the objective."""
    names, shares = [name for name, _ in tuned.results["importances"]], [s for _, s in tuned.results["importances"]]
    if why := _too_few(tuned):
        return Told(None, why)
    title = f"Importance for {tuned.results['objective']}"
    figure = plots.importance(names, shares, title=title, x_title="share of the spread")
    return Told(figure, reading.importances(names, shares, of="parameter"))


def slices(tuned: Tuned) -> Told:
    """Trials by the two parameters that matter most."""
    names = _named(tuned)[:2]
    if why := _too_few(tuned):
        return Told(None, why)
    figure = vis.plot_slice(tuned.study, params=names, target_name=tuned.results["objective"])
    theme.titled(figure, title="Trials by parameter", note="the two that matter most; colour: order", height=400)
    figure.update_traces(marker_colorbar_thickness=BAR, selector={"type": "scatter"})
    figure.for_each_xaxis(lambda axis: axis.update(title_text=_broken(axis.title.text)))
    return Told(figure, reading.best_quarter(tuned.trials, names), tuned.trials)


def contour(tuned: Tuned) -> Told:
    """The objective over the two parameters on a scale that matter most."""
    if why := _too_few(tuned):
        return Told(None, why)
    scales = tuned.study.best_trial.distributions
    names = [name for name in _named(tuned) if not isinstance(scales.get(name), CategoricalDistribution)][:2]
    if len(names) < 2:
        return Told(None, "Fewer than two parameters are on a scale.")
    figure = vis.plot_contour(tuned.study, params=names, target_name=tuned.results["objective"])
    theme.titled(figure, title="Objective over two parameters", note="those on a scale that matter most", height=420)
    figure.update_traces(colorbar_thickness=BAR, selector={"type": "contour"})
    best = tuned.study.best_trial.params
    at = reading.listed([f"{name} {significant(best[name], 4)}" for name in names])
    return Told(figure, f"The best trial has {at}; where no point is near, the colours are interpolated.", tuned.trials)


def parallel(tuned: Tuned) -> Told:
    """Each trial as a line across the parameters that matter most."""
    names = _named(tuned)[:4]
    if why := _too_few(tuned):
        return Told(None, why)
    figure = vis.plot_parallel_coordinate(tuned.study, params=names, target_name=tuned.results["objective"])
    theme.titled(figure, title="Trials across the parameters that matter most", note="one line a trial", height=460)
    figure.update_traces(marker_colorbar_thickness=BAR, selector={"type": "scatter"})
    figure.update_layout(margin_t=110, margin_l=40)  # the axes carry their names above them, and ticks at their left
    return Told(figure, reading.best_quarter(tuned.trials, names), tuned.trials)


def proof(tuned: Tuned) -> Reading:
    """What the search proves, by which figures, and what would be needed."""
    said = tuned.results["verdict"]
    judged = [f"{part['name'][:1].upper()}{part['name'][1:]}: {part['statement']}." for part in said["components"]]
    return Reading(f"{said['headline']}.", *said["reasons"], *judged, *map("Needed for {}.".format, said["needed"]))


def _named(tuned: Tuned) -> list[str]:
    """Parameters, the most important first where that is known."""
    return [name for name, _ in tuned.results["importances"]] or list(tuned.results["ranges"])


def _too_few(tuned: Tuned) -> str:
    """Why it cannot be said what mattered; empty where it can."""
    n = len(tuned.results["trials"])
    feasible = sum(row["state"] == "feasible" for row in tuned.results["trials"])
    if n >= ENOUGH and feasible:
        return ""
    return f"Only {reading.counted(n, 'trial')}, {feasible} feasible: too few to say what mattered."


def _broken(name: str) -> str:
    """A name in lines short enough to stand beside another on a phone."""
    return "<br>".join(textwrap.wrap(re.sub(r"([._])", r"\1 ", theme.label(name)), 13)).replace(" ", "")
