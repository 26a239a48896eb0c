"""Figures of monitoring: what was promised beside what came, with bands and limits."""

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from bq.core.numerals import significant
from bq.workbench import theme
from bq.workbench.theme import label, no_data, numbers, positions

BAND = "rgba(0,114,178,0.15)"  # of theme.BLUE
THEN_AND_NOW = {"before": "then", "now": "now"}  # columns of distributions, for people


def band(x: Sequence, low: pl.Series, high: pl.Series, *, name: str, colour: str = BAND) -> go.Scatter:
    """What lies between two columns, shaded; a gap where either is missing is closed by the points beside it."""
    known = (low.is_not_null() & high.is_not_null()).to_list()
    kept = [place for place, there in zip(x, known, strict=True) if there]
    edges = [*numbers(high.filter(pl.Series(known))), *numbers(low.filter(pl.Series(known)))[::-1]]
    edge = {"x": [*kept, *kept[::-1]], "y": edges, "name": label(name), "hoverinfo": "skip"}
    return go.Scatter(**edge, fill="toself", fillcolor=colour, line={"width": 0}, mode="lines", showlegend=bool(kept))


def promised(weeks: pl.DataFrame, *, points: float, title: str, y_title: str) -> go.Figure:
    """Predicted and realised by week, below the difference over the window with its interval and the limits.

    weeks : of `bq.monitoring.promise.weekly`, of one model. Alarms are crosses.
    """
    if reason := theme.nothing(weeks, ["predicted", "realised"]):
        return no_data(title, reason)
    x = positions(weeks["week"])
    result = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.06)
    result.add_trace(theme.line(weeks, "week", "predicted", 0), 1, 1)
    realised = theme.line(weeks, "week", "realised", 1).update(mode="markers", marker={"size": 5})
    result.add_trace(realised.update(marker_color=theme.VERMILLION), 1, 1)
    for name, colour, dash in (("window_predicted", theme.BLUE, "dot"), ("window_realised", theme.VERMILLION, "dot")):
        shown = theme.line(weeks, "week", name, 0).update(name=f"{name.split('_')[1]}, mean of the window")
        result.add_trace(shown.update(line={"color": colour, "dash": dash, "width": 1.5}), 1, 1)
    result.add_trace(band(x, weeks["low"], weeks["high"], name="interval of the difference"), 2, 1)
    gap = theme.line(weeks, "week", "difference", 6).update(name="realised − predicted, of the window")
    result.add_trace(gap.update(line={"dash": "solid"}), 2, 1)
    alarms = weeks.filter("alarm")
    if len(alarms):
        crosses = theme.line(alarms, "week", "difference", 1).update(mode="markers", name="alarm")
        result.add_trace(crosses.update(marker={"symbol": "x", "size": 8, "color": theme.VERMILLION}), 2, 1)
    for limit in (-points, points):
        result.add_hline(y=limit, line={"color": theme.VERMILLION, "dash": "dash", "width": 1.2}, row=2, col=1)
    theme.titled(result, title=title, note="weekly means of sessions; dashed red: the limits", height=560)
    result.update_yaxes(title_text=y_title, row=1).update_yaxes(title_text="difference", row=2)
    return result.update_xaxes(title_text="week of the decision", row=2).update_layout(showlegend=True)


def then_and_now(then: pl.DataFrame, now: pl.DataFrame, *, title: str) -> go.Figure:
    """Observed frequency against predicted probability, of the reference and of what was decided since.

    then, now : of `bq.learning.metrics.calibration`.
    """
    if now.is_empty():
        return no_data(title, "No decision with probabilities has an outcome yet.")
    ideal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": theme.GREY, "dash": "dot"}, name="calibrated")
    traces = [ideal]
    for table, name, colour, symbol in ((then, "then", theme.GREY, "square"), (now, "now", theme.BLUE, "circle")):
        if table.is_empty():
            continue
        observed = table["observed"].to_numpy()
        bars = {"array": table["high"].to_numpy() - observed, "arrayminus": observed - table["low"].to_numpy()}
        traces.append(
            go.Scatter(
                x=numbers(table["predicted"]),
                y=numbers(observed),
                error_y={**{k: numbers(v) for k, v in bars.items()}, "color": colour, "thickness": 1.3, "width": 3},
                mode="lines+markers",
                line={"color": colour, "width": 1},
                marker={"size": 8, "color": colour, "symbol": symbol},
                text=[f"n={count:,}" for count in table["n"]],
                hovertemplate="%{x} predicted, %{y} observed (%{text})<extra></extra>",
                name=f"{name} (n = {int(table['n'].sum()):,})",
            )
        )
    x_title, y_title = "mean predicted probability", "observed frequency"
    return theme.figure(traces, title=title, x_title=x_title, y_title=y_title, note="95% Wilson intervals")


def estimated(table: pl.DataFrame, *, title: str) -> go.Figure:
    """Accuracy by period as estimated before outcomes are known, with its interval, beside what came.

    table : period, cbpe, cbpe_low, cbpe_high, realised; and pape, pape_low, pape_high where there are weights.
    """
    if reason := theme.nothing(table, ["cbpe"]):
        return no_data(title, reason)
    x = table["period"].to_list()
    traces = []
    for place, (name, shown) in enumerate((("cbpe", "CBPE"), ("pape", "PAPE"))):
        if table[name].count():
            traces.append(_whiskered(table, x, name, shown, place))
    came = {"size": 11, "color": theme.VERMILLION, "symbol": "diamond"}
    traces.append(go.Scatter(x=x, y=numbers(table["realised"]), mode="markers", marker=came, name="realised"))
    traces[-1].update(offsetgroup="realised")
    result = theme.figure(traces, title=title, x_title="quarter of the decision", y_title="accuracy")
    return result.update_xaxes(type="category").update_layout(showlegend=True, scattermode="group")


def _whiskered(table: pl.DataFrame, x: Sequence, name: str, shown: str, place: int) -> go.Scatter:
    value = table[name].to_numpy()
    colour = (theme.BLUE, theme.GREEN)[place]
    bars = {"array": numbers(table[f"{name}_high"].to_numpy() - value)}
    bars["arrayminus"] = numbers(value - table[f"{name}_low"].to_numpy())
    return go.Scatter(
        x=x,
        y=numbers(value),
        error_y={**bars, "color": colour, "thickness": 1.5, "width": 4},
        mode="markers",
        marker={"size": 8, "color": colour, "symbol": ("circle", "square")[place]},
        name=shown,
        offsetgroup=shown,
    )


def distributions(table: pl.DataFrame, *, title: str) -> go.Figure:
    """Shares of features in the bins of the training, then and now, one panel a feature.

    table : of `bq.monitoring.windows.distributions`.
    """
    names = table["feature"].unique(maintain_order=True).to_list() if len(table) else []
    if not names:
        return no_data(title, "No window of decisions is whole yet.")
    rows = -(-len(names) // 2)
    result = make_subplots(rows, 2, subplot_titles=[label(name) for name in names], vertical_spacing=0.3 / rows)
    for place, name in enumerate(names):
        own = table.filter(pl.col("feature") == name)
        ends = [_bin(row) for row in own.iter_rows(named=True)]
        for column, colour in (("before", theme.GREY), ("now", theme.BLUE)):
            bars = go.Bar(
                x=own["bin"].to_list(), y=numbers(100 * own[column]), name=THEN_AND_NOW[column], marker_color=colour
            )
            bars.update(text=ends, textposition="none", hovertemplate="%{text}: %{y:.1f} %<extra></extra>")
            bars.update(showlegend=place == 0, legendgroup=column)
            result.add_trace(bars, place // 2 + 1, place % 2 + 1)
    result.update_annotations(font_size=11)
    result.update_xaxes(showticklabels=False).update_xaxes(title_text="bin, lowest first", row=rows)
    result.update_yaxes(title_text="events [%]", col=1)
    note = "deciles of the training; the last bin holds missing values"
    return theme.titled(result, title=title, note=note, height=120 + 200 * rows).update_layout(showlegend=True)


def _bin(row: dict) -> str:
    """The range of a bin."""
    if row["low"] is None and row["high"] is None:
        return "missing"
    low, high = ("−∞" if row["low"] is None else significant(row["low"])), row["high"]
    return f"above {low}" if high is None else f"{low} to {significant(high)}"


def streams(paths: pl.DataFrame, *, title: str) -> go.Figure:
    """How far each detector of errors is, one panel each, with its limit. paths : of `error_stream.paths`."""
    if reason := theme.nothing(paths, ["llr_cusum"]):
        return no_data(title, reason)
    shown = {"llr_cusum": ("llr_limit", "LLR-CUSUM"), "e_process": ("e_limit", "e-process, log")}
    result = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.08)
    for place, (name, (limit, heading)) in enumerate(shown.items()):
        line = theme.line(paths, "last", name, place).update(name=heading, mode="lines+markers", marker={"size": 4})
        result.add_trace(line.update(line={"dash": "solid"}), place + 1, 1)
        result.add_hline(y=paths[limit][0], line={"color": theme.VERMILLION, "dash": "dash"}, row=place + 1, col=1)
        result.update_yaxes(title_text=heading, row=place + 1)
    result.update_xaxes(title_text="last decision of the block", row=2)
    note = f"{paths.height} blocks of outcomes that do not overlap; dashed red: the limits"
    return theme.titled(result, title=title, note=note, height=460).update_layout(showlegend=False)


def share_by_week(table: pl.DataFrame, y: str, limit: float, *, title: str, y_title: str) -> go.Figure:
    """A share in percent by week, with the limit beyond which it is an alarm."""
    if reason := theme.nothing(table, [y]):
        return no_data(title, reason)
    percent = table.with_columns(pl.col(y) * 100)
    line = theme.line(percent, "week", y, 0).update(mode="lines+markers", marker={"size": 4})
    result = theme.figure([line], title=title, x_title="week of the decision", y_title=f"{y_title} [%]")
    result.add_hline(y=100 * limit, line={"color": theme.VERMILLION, "dash": "dash", "width": 1.5})
    return result.update_yaxes(rangemode="tozero")
