"""Notebook 03: what each layer of a stack is worth, and the market regimes that weigh them."""

import polars as pl

from bq.core.scalars import day
from bq.core.settings import Settings
from bq.learning import layer_diagnostics
from bq.serving import gates
from bq.serving.candidate import Candidate
from bq.strategies import regime
from bq.workbench import plots, reading
from bq.workbench.told import Reading, Told

MOST_FEATURES = 25  # of the table of chosen features
SMOOTHED = 21  # sessions of a mean of regime probabilities
LARGEST = 20  # features of the table of importances
FOLDS = pl.col("fold").sort().cast(pl.String).str.join(", ").alias("folds")


def _notes(made: Candidate) -> pl.DataFrame:
    """What the candidate used or left out."""
    return made.notes.filter(pl.col("model") == made.artefact.bundle.model)


def left_out(made: Candidate) -> Told:
    """What was used and left out in which folds, with the reasons."""
    told = _notes(made).filter(pl.col("layer") != "features")
    table = told.group_by("layer", "what", "why", maintain_order=True).agg(FOLDS)
    sentence = f"{reading.counted(len(table), 'note')} on {reading.counted(table['layer'].n_unique(), 'layer')}."
    return Told(plots.table(table), sentence if len(table) else "No layer has a note: all were used whole.", table)


def chosen_features(made: Candidate) -> Told:
    """How often each feature was chosen."""
    rows = _notes(made).filter(pl.col("layer") == "features").select("fold", feature="features")
    counts = rows.explode("feature").drop_nulls().group_by("feature").agg(chosen_in=pl.len(), folds=FOLDS)
    table = counts.sort("chosen_in", "feature", descending=[True, False])
    if table.is_empty():
        return Told(None, "Every fold trained on all features: `learning.select` is null.", table)
    always = int((table["chosen_in"] == len(rows)).sum())
    sentence = (
        f"{reading.counted(len(table), 'feature')} were chosen at least once, {always} of them in all "
        f"{len(rows)} trainings."
    )
    return Told(plots.table(table.head(MOST_FEATURES)), sentence, table)


def layers(made: Candidate, settings: Settings) -> Told:
    """Rank IC of each layer with its interval, and what the whole stack adds to it."""
    table = layer_diagnostics.layer_ic(made.layers, made.own_oos, blocks=gates.blocks(made.own_oos, settings))
    return Told(plots.table(table, digits=4), reading.layers(table), table)


def layer_ics(layers: Told, made: Candidate) -> Told:
    """The rank ICs of `layers`, drawn."""
    figure = plots.interval_dots(
        layers.table.filter(pl.col("ic").is_not_null()),
        label="layer",
        value="ic",
        low="low",
        high="high",
        baseline=0.0,
        title="Rank IC of each layer, out of sample; line: no skill",
        x_title=f"mean Spearman correlation within a session, {len(made.own_oos):,} events",
    )
    return Told(figure, reading.rank_ics(layers.table, label="layer"), layers.table)


def layer_correlations(made: Candidate) -> Told:
    """Rank correlation of what the layers predict."""
    names, matrix = layer_diagnostics.layer_correlation(made.layers)
    titles = {"title": "Rank correlation of the layers' predictions", "x_title": "layer", "y_title": "layer"}
    figure = plots.heatmap(matrix.to_numpy(), names, names, **titles, z_title="Spearman")
    return Told(figure, reading.correlations(names, matrix.to_numpy()), matrix)


def weights(made: Candidate) -> Told:
    """What each layer's prediction is multiplied with in each regime."""
    return Told(plots.table(made.weights, digits=3), reading.weights(made.weights), made.weights)


def regimes(events: pl.DataFrame, line: regime.Timeline) -> Told:
    """How much there is of each regime, and what the market was like while it stood."""
    table = regime.summary(regime.joined(events, line), line)
    return Told(plots.table(table), reading.regime_growths(table), table)


def _since(line: regime.Timeline, events: pl.DataFrame) -> pl.DataFrame:
    """The timeline from the first event on."""
    return line.frame.filter(pl.col("session") >= day(events["session"].min()))


def regime_timeline(events: pl.DataFrame, line: regime.Timeline) -> Told:
    """The market, coloured by the regime that stood."""
    frame = _since(line, events)
    titles = {"title": f"Regimes on {line.market}", "y_title": "close, logarithmic"}
    figure = plots.timeline(frame, "session", "close", "regime", states=line.names, **titles)
    return Told(figure, reading.regimes(frame, line.names), frame)


def fear_greed(events: pl.DataFrame, line: regime.Timeline) -> Told:
    """The fear-greed composite."""
    frame = _since(line, events)
    titles = {"title": "Fear-greed composite; line at 0.5: neither", "x_title": "session", "y_title": "0 fear, 1 greed"}
    figure = plots.lines(frame, "session", ["fear_greed"], **titles)
    if figure.data:
        figure.add_hline(y=0.5, line_dash="dash").update_yaxes(range=[0, 1])
    return Told(figure, reading.fear_greed(frame), frame)


def regime_probabilities(events: pl.DataFrame, line: regime.Timeline) -> Told:
    """Probabilities of the regimes, smoothed."""
    smooth = pl.col(line.columns).rolling_mean(SMOOTHED, min_samples=1).name.replace("regime_", "")
    frame = _since(line, events).select("session", smooth)
    titles = {"title": "Regime probabilities", "x_title": "session", "y_title": f"mean of {SMOOTHED} sessions"}
    figure = plots.lines(frame, "session", line.names, **titles)
    return Told(figure, reading.probabilities(frame, line.names), frame)


def importances_by_layer(made: Candidate) -> Told:
    """Share of each feature in each layer."""
    table = made.importances.pivot("layer", index="feature", values="share").fill_null(0.0)
    names = table.columns[1:]
    top = table.with_columns(mean=pl.mean_horizontal(names)).sort("mean", descending=True).head(LARGEST)
    titles = {"title": "Share of gain or of coefficients, twenty largest", "x_title": "layer", "y_title": "feature"}
    figure = plots.heatmap(top.select(names).to_numpy(), top["feature"].to_list(), names, **titles, z_title="share")
    return Told(figure, reading.shares_by_layer(top, names), top)


def stack_findings(layers: Told, made: Candidate) -> Reading:
    """Where the whole stack is better and worse than its parts."""
    sides = layer_diagnostics.sides(layers.table)
    whole = layers.table.filter(pl.col("layer") == "stack", pl.col("low").is_not_null())
    said = "none, too few events a session"
    if len(whole):
        said = "{ic:+.4f} [{low:+.4f}, {high:+.4f}], {sessions} sessions".format(**whole.row(0, named=True))
    return Reading(
        f"Rank IC of the whole: {said}.",
        f"It is better by its lower bound than {reading.listed(sides.better, nothing='none of its parts')}, worse by "
        f"its upper bound than {reading.listed(sides.worse, nothing='none')}; inconclusive: "
        f"{reading.listed(sides.inconclusive, nothing='none')}.",
        *(f"Note that {notice}." for notice in layer_diagnostics.notices(layers.table, made.weights)),
    )
