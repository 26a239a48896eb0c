"""Notebook 06: what a search found, which parameters mattered, and what is left of it on sessions no trial saw."""

import optuna.visualization as vis
import polars as pl
from optuna.distributions import CategoricalDistribution

from bq.core.settings import Settings
from bq.tuning import parameters
from bq.tuning.results import Tuned
from bq.workbench import plots, reading, theme
from bq.workbench.told import Reading, Told

ENOUGH = 10  # trials from which it can be said what mattered
SHOWN = 15  # best trials of the table
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
    return Told(plots.table(table), sentence, table)


def curves(tuned: Tuned, *, chosen: bool) -> Told:
    """Running sums of what winner and given parameters earned.

    chosen : on the part that the winner was chosen on; else on the part that no trial saw.
    """
    part, last = tuned.curves["part"][0], tuned.curves["part"][-1]
    columns = [name for name in tuned.curves.columns if name not in ("session", "part")]
    names = {name: name.replace("_", " ") for name in columns}
    if chosen:
        frame, title = tuned.curves.filter(pl.col("part") == part), f"Running sum, {part} (winner chosen on it)"
    else:
        looks = tuned.results.get("holdout_looks", 1)
        seen = "looked at once" if looks <= 1 else f"looked at {looks} times"
        frame = tuned.curves.filter(pl.col("part") == last, pl.col("part") != part)
        title = f"Running sum, {last}: {seen}"
    sentence = reading.sums(frame, names, where=f"On the {part if chosen else last}")
    return Told(plots.cumulative(frame, "session", columns, title=title, **PARTS), sentence, frame)


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
    title = f"Importance for {tuned.results['objective']}"
    if why := _too_few(tuned):
        return Told(plots.no_data(title, why), why)
    figure = plots.importance(names, shares, title=title, x_title="share of the spread")
    return Told(figure, reading.importances(names, shares, of="parameter"))


def slices(tuned: Tuned) -> Told:
    """Trials by the two parameters that matter most."""
    title, names = "Trials by parameter", _named(tuned)[:2]
    if why := _too_few(tuned):
        return Told(plots.no_data(title, why), why)
    figure = vis.plot_slice(tuned.study, params=names, target_name=tuned.results["objective"])
    theme.titled(figure, title=title, note="the two that matter most; colour: order", height=400)
    return Told(figure, reading.best_quarter(tuned.trials, names), tuned.trials)


def contour(tuned: Tuned) -> Told:
    """The objective over the two parameters on a scale that matter most."""
    title, scales = "Objective over two parameters", tuned.study.best_trial.distributions
    names = [name for name in _named(tuned) if not isinstance(scales.get(name), CategoricalDistribution)][:2]
    why = _too_few(tuned) or ("" if len(names) == 2 else "Fewer than two parameters are on a scale.")
    if why:
        return Told(plots.no_data(title, why), why)
    figure = vis.plot_contour(tuned.study, params=names, target_name=tuned.results["objective"])
    theme.titled(figure, title=title, note="those on a scale that matter most", height=420)
    best = tuned.study.best_trial.params
    at = reading.listed([f"{name} {best[name]:.4g}" for name in names])
    return Told(figure, f"The best trial has {at}; where no point is near, the colours are interpolated.", tuned.trials)


def parallel(tuned: Tuned) -> Told:
    """Each trial as a line across the parameters that matter most."""
    title, names = "Trials across the parameters that matter most", _named(tuned)[:4]
    if why := _too_few(tuned):
        return Told(plots.no_data(title, why), why)
    figure = vis.plot_parallel_coordinate(tuned.study, params=names, target_name=tuned.results["objective"])
    theme.titled(figure, title=title, note="one line a trial", height=460)
    figure.update_layout(margin_t=110)  # the axes carry their names above them
    return Told(figure, reading.best_quarter(tuned.trials, names), tuned.trials)


def proof(tuned: Tuned) -> Reading:
    """What the search proves, and what would be needed."""
    said = tuned.results["verdict"]
    return Reading(f"{said['headline']}.", *said["reasons"], *(f"To pass: {text}." for text in said["needed"]))


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
