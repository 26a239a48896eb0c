"""The figures of the notebooks: frames in, a plotly Figure out, with titles, units and a reason where data lacks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from bq.core.numerals import decimal, significant
from bq.workbench import theme
from bq.workbench.curves import by_threshold, cumulative, growth
from bq.workbench.exhibits import exhibits
from bq.workbench.table import table
from bq.workbench.theme import figure, label, no_data, numbers, positions, thin

__all__ = [
    "bars",
    "by_threshold",
    "calibration",
    "confusion",
    "cumulative",
    "exhibits",
    "growth",
    "heatmap",
    "histogram",
    "importance",
    "interval_dots",
    "lines",
    "no_data",
    "panels",
    "table",
    "timeline",
]

BINS = 40
MOST_BARS = 20


def lines(
    frame: pl.DataFrame, x: str, y_columns: Sequence[str], *, title: str, x_title: str, y_title: str
) -> go.Figure:
    """One line a column over `x`. Nulls and NaN are gaps."""
    if reason := theme.nothing(frame, y_columns):
        return no_data(title, reason)
    drawn, note = thin(frame)
    traces = [theme.line(drawn, x, name, place) for place, name in enumerate(y_columns)]
    result = figure(traces, title=title, x_title=x_title, y_title=y_title, note=note)
    return result.update_layout(hovermode="x unified", showlegend=len(y_columns) > 1)


def timeline(
    frame: pl.DataFrame, x: str, y: str, state: str, *, states: Sequence[str], title: str, y_title: str
) -> go.Figure:
    """`y` over `x` on a logarithmic axis, coloured by the state that stood; points without one are grey.

    states : in an order, which gives each the colour that `lines` gives to the column in the same place.
    """
    if reason := theme.nothing(frame, [y]):
        return no_data(title, reason)
    drawn, note = thin(frame)
    line = theme.line(drawn, x, y, 0).update(line={"color": theme.GREY, "width": 1}, showlegend=False)
    marks = []
    for place, name in enumerate(states):
        there = drawn.filter(pl.col(state) == name)
        marker = {"size": 4, "color": theme.style(place)["color"]}
        marks.append(theme.line(there, x, y, place).update(mode="markers", name=label(name), marker=marker))
    result = figure([line, *marks], title=title, x_title=x, y_title=y_title, note=note)
    return result.update_yaxes(type="log").update_layout(showlegend=True)


def panels(
    frames: Mapping[str, pl.DataFrame], x: str, y_columns: Sequence[str], *, title: str, x_title: str
) -> go.Figure:
    """The same columns of several frames side by side, two a row, each with its own axes and its name above."""
    if not frames:
        return no_data(title, "There is nothing to draw.")
    rows = -(-len(frames) // 2)
    result = make_subplots(rows, 2, subplot_titles=[label(name) for name in frames], vertical_spacing=0.35 / rows)
    for place, frame in enumerate(frames.values()):
        for series, name in enumerate(y_columns):
            drawn = theme.line(frame, x, name, series).update(showlegend=place == 0, legendgroup=name)
            result.add_trace(drawn, place // 2 + 1, place % 2 + 1)
    result.update_annotations(font_size=11)
    result.update_xaxes(title_text=x_title, row=rows)
    return theme.titled(result, title=title, note="", height=120 + 220 * rows)


def bars(frame: pl.DataFrame, x: str, y_columns: Sequence[str], *, title: str, x_title: str, y_title: str) -> go.Figure:
    """Grouped bars, one group a row of `x`."""
    if reason := theme.nothing(frame, y_columns):
        return no_data(title, reason)
    places = positions(frame[x])
    traces = [go.Bar(x=places, y=numbers(frame[name]), name=label(name)) for name in y_columns]
    result = figure(traces, title=title, x_title=x_title, y_title=y_title)
    return result.update_layout(barmode="group", showlegend=len(y_columns) > 1)


def histogram(frame: pl.DataFrame, value: str, *, title: str, x_title: str, by: str | None = None) -> go.Figure:
    """Distribution of `value`, of each group in `by` as a share of its own size. The outer .5 % go to the end bins."""
    if reason := theme.nothing(frame, [value]):
        return no_data(title, reason)
    finite = frame.filter(pl.col(value).is_finite())
    low, high = np.quantile(finite[value], [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    groups = finite.partition_by(by, as_dict=True, maintain_order=True) if by else {(value,): finite}
    traces = []
    for place, ((name, *_), group) in enumerate(sorted(groups.items(), key=lambda item: str(item[0]))):
        counts, _ = np.histogram(np.clip(group[value], edges[0], edges[-1]), edges)
        shown = f"{label(name)} (n={group.height:,})"
        y = numbers(100 * np.append(counts, counts[-1]) / group.height)  # a step begins at each edge
        traces.append(go.Scatter(x=numbers(edges), y=y, name=shown, mode="lines", line=theme.style(place, shape="hv")))
    note = f"n = {finite.height:,}; the end bins hold all that is beyond them (the outer 0.5 % each)"
    result = figure(traces, title=title, x_title=x_title, y_title="share of events [%]", note=note)
    for sign, end, anchor in (("≤", 0, "left"), ("≥", -1, "right")):
        corner = {"x": edges[end], "y": 1, "yref": "paper", "xanchor": anchor, "yanchor": "bottom", "showarrow": False}
        result.add_annotation(
            text=f"{sign} {significant(edges[1 if end == 0 else -2])}", font={"color": theme.GREY}, **corner
        )
    result.update_xaxes(range=[1.02 * e - 0.02 * o for e, o in ((edges[0], edges[-1]), (edges[-1], edges[0]))])
    if by is None:
        result.update_traces(fill="tozeroy")
    return result.update_layout(showlegend=by is not None)


def heatmap(
    matrix: Any, rows: Sequence[Any], columns: Sequence[Any], *, title: str, x_title: str, y_title: str, z_title: str
) -> go.Figure:
    """A matrix of shape (n_rows, n_columns), first row on top. With negative values the colours part at 0."""
    values = np.asarray(matrix, dtype=float)
    if values.size == 0 or not np.isfinite(values).any():
        return no_data(title, f"None of the {values.size} values is a number.")
    signed = np.nanmin(values) < 0
    trace = go.Heatmap(
        z=[numbers(row) for row in values],
        x=[label(name) for name in columns],
        y=[label(name) for name in rows],
        colorscale=theme.DIVERGING if signed else theme.SEQUENTIAL,
        zmid=0 if signed else None,
        texttemplate="%{z:.2g}" if values.shape[1] <= 8 else None,
        colorbar={"thickness": 8, "outlinewidth": 0, "xpad": 4},
        hovertemplate=f"%{{y}}, %{{x}}: %{{z}}<extra>{label(z_title)}</extra>",
        xgap=1,
        ygap=1,
    )
    result = figure(
        [trace], title=title, x_title=x_title, y_title=y_title, note=z_title, height=150 + 22 * max(len(rows), 5)
    )
    return result.update_yaxes(autorange="reversed", type="category").update_xaxes(type="category", showgrid=False)


def calibration(table: pl.DataFrame, *, title: str) -> go.Figure:
    """Observed frequency against mean predicted probability, one point a bin, with its interval and its size.

    table : DataFrame of shape (n_bins, 5) with `predicted`, `observed`, `low`, `high` (all 0 to 1) and `n`.
    """
    if table.is_empty():
        return no_data(title, "There are no probabilities to check.")
    if reason := theme.nothing(table, ["predicted", "observed"]):
        return no_data(title, reason)
    observed, counts = table["observed"].to_numpy(), table["n"].to_list()
    points = go.Scatter(
        x=numbers(table["predicted"]),
        y=numbers(observed),
        error_y=_whiskers(table["high"].to_numpy() - observed, observed - table["low"].to_numpy()),
        mode="markers+text",
        marker={"size": 9, "color": theme.BLUE},
        text=[f"n={count:,}" for count in counts],
        textposition="bottom right",
        textfont={"size": 10, "color": theme.GREY},
        cliponaxis=False,
        name="bins",
    )
    ideal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": theme.GREY, "dash": "dot"}, name="calibrated")
    x_title, y_title = "mean predicted probability", "observed frequency"
    result = figure([ideal, points], title=title, x_title=x_title, y_title=y_title, note=f"n = {sum(counts):,}")
    return result.update_xaxes(range=[-0.03, 1.12])


def confusion(matrix: Any, labels: Sequence[Any], *, majority_share: float, title: str) -> go.Figure:
    """Counts of actual (rows) against predicted (columns) class; accuracy beside the share of the largest class."""
    counts = np.asarray(matrix, dtype=float)
    total = counts.sum()
    if not total > 0:
        return no_data(title, "No event was predicted.")
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [label(name) for name in labels]
    cells = [
        [f"{decimal(n, 0)}<br>{decimal(share, 0)} %" for n, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    trace = go.Heatmap(
        z=[numbers(row) for row in shares],
        x=names,
        y=names,
        text=cells,
        texttemplate="%{text}",
        colorscale=theme.SEQUENTIAL,
        zmin=0,
        zmax=100,
        showscale=False,
        xgap=1,
        ygap=1,
    )
    accuracy = np.trace(counts) / total
    beside = f"largest class alone {decimal(majority_share, 2)}, n = {decimal(total, 0)}"
    note = f"accuracy {decimal(accuracy, 2)}, {beside}; % of the actual class"
    result = figure([trace], title=title, x_title="predicted class", y_title="actual class", note=note)
    return result.update_yaxes(autorange="reversed", type="category").update_xaxes(type="category", showgrid=False)


def importance(names: Sequence[str], values: Any, *, title: str, x_title: str) -> go.Figure:
    """Horizontal bars, largest by size first whatever their sign, at most twenty."""
    sizes = np.asarray(values, dtype=float)
    if sizes.size == 0 or not np.isfinite(sizes).any():
        return no_data(title, "No feature has an importance.")
    order = np.argsort(np.abs(np.nan_to_num(sizes)), kind="stable")[::-1][:MOST_BARS]
    trace = go.Bar(x=numbers(sizes[order]), y=list(range(len(order))), orientation="h", marker_color=theme.BLUE)
    trace.update(
        text=[label(names[i]) for i in order], hovertemplate="%{text}: %{x}<extra></extra>", textposition="none"
    )
    note = f"{len(order)} of {len(names)} features" if len(names) > len(order) else ""
    result = figure([trace], title=title, x_title=x_title, y_title="", note=note, height=110 + 22 * len(order))
    return _named_rows(result, [names[i] for i in order])


def interval_dots(
    frame: pl.DataFrame, *, label: str, value: str, low: str, high: str, baseline: float, title: str, x_title: str
) -> go.Figure:
    """One point a row with its interval, and a line at `baseline`. A null interval is not drawn."""
    if reason := theme.nothing(frame, [value]):
        return no_data(title, reason)
    centre = frame[value].to_numpy()
    trace = go.Scatter(
        x=numbers(centre),
        y=list(range(frame.height)),
        error_x=_whiskers(frame[high].to_numpy() - centre, centre - frame[low].to_numpy()),
        mode="markers",
        marker={"size": 9, "color": theme.BLUE},
        text=[theme.label(name) for name in frame[label]],
        hovertemplate="%{text}: %{x}<extra></extra>",
    )
    result = figure([trace], title=title, x_title=x_title, y_title="", height=120 + 30 * frame.height)
    result.add_vline(x=baseline, line={"color": theme.VERMILLION, "dash": "dash", "width": 1.5})
    return _named_rows(result, frame[label].to_list())


def _whiskers(above: np.ndarray, below: np.ndarray) -> dict[str, Any]:
    return {"array": numbers(above), "arrayminus": numbers(below), "color": theme.BLUE, "thickness": 1.5, "width": 4}


def _named_rows(result: go.Figure, names: Sequence[str]) -> go.Figure:
    """Name the rows 0, 1, … from the top; long names are cut so that a phone keeps room for the bars."""
    shown = [label(name if len(name) <= 26 else f"{name[:15]}…{name[-10:]}") for name in map(str, names)]
    edges = [len(shown) - 0.5, -0.5]
    ticks = {"tickvals": list(range(len(shown))), "ticktext": shown, "ticks": "outside", "tickcolor": "#ffffff"}
    return result.update_yaxes(range=edges, showgrid=False, zeroline=False, **ticks)
