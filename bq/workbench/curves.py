"""Curves over sessions, and how far each lies below its highest point so far."""

import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from bq.core.numerals import significant
from bq.stats import drawdown
from bq.workbench import theme
from bq.workbench.theme import no_data, thin


def cumulative(
    frame: pl.DataFrame, x: str, y_columns: Sequence[str], *, title: str, x_title: str, y_title: str
) -> go.Figure:
    """Cumulative sum of each column over `x` (sorted), and below it the distance to its highest point so far.

    frame : DataFrame of shape (n_sessions, ...). Sums, not compounded: returns over a fixed capital. The highest point
    starts at 0. A null adds nothing and leaves a gap.
    """
    if reason := theme.nothing(frame, y_columns):
        return no_data(title, reason)
    ordered = frame.sort(x).with_columns(pl.col(*y_columns).fill_nan(None).cum_sum())
    fallen = ordered.with_columns(drawdown.below_peak_of_sum(pl.col(*y_columns)).name.suffix(" drawdown"))
    result = _above_drawdown(fallen, x, y_columns, title=title, x_title=x_title)
    return result.update_yaxes(title_text="<br>".join(textwrap.wrap(y_title, 30)), row=1)


def growth(frame: pl.DataFrame, x: str, y_columns: Sequence[str], *, title: str, x_title: str) -> go.Figure:
    """What 1 in each level becomes over `x`, logarithmic, and below it the share lost since the highest so far.

    frame : DataFrame of shape (n_sessions, ...) of levels above 0. Nulls and NaN are gaps.
    """
    if reason := theme.nothing(frame, y_columns):
        return no_data(title, reason)
    level = pl.col(*y_columns).fill_nan(None)
    ordered = frame.sort(x).with_columns(level / level.drop_nulls().first())
    fallen = ordered.with_columns((drawdown.below_peak_of_wealth(level) * 100).name.suffix(" drawdown"))
    result = _above_drawdown(fallen, x, y_columns, title=title, x_title=x_title)
    ends = {"low": pl.min_horizontal(*y_columns).min(), "high": pl.max_horizontal(*y_columns).max()}
    low, high = ordered.select(**ends).row(0)
    steps = "D2" if high > 6 * low else None  # 1, 2, 5, 10; with less between them a step that fits
    result.update_yaxes(title_text="growth of 1", type="log", tickformat="~g", dtick=steps, row=1)
    return result.update_yaxes(title_text="draw-<br>down [%]", row=2)


def by_threshold(table: pl.DataFrame, *, title: str, y_title: str) -> go.Figure:
    """What model and rule score earn at each threshold, with intervals, and how many trades that are.

    table : of `bq.learning.thresholds.by_threshold`. The policy's own threshold is marked.
    """
    if reason := theme.nothing(table, ["value"]):
        return no_data(title, reason)
    names = [_threshold(row) for row in table.iter_rows(named=True)]
    traces = []
    for place, (prefix, name) in enumerate((("", "model"), ("rule_", "rule score, as many trades in training"))):
        value, low, high = (
            table[f"{prefix}{part}"].fill_null(float("nan")).to_numpy() for part in ("value", "low", "high")
        )
        colour = theme.style(place)["color"]
        whiskers = {"array": theme.numbers(high - value), "arrayminus": theme.numbers(value - low), "color": colour}
        traces.append(
            go.Scatter(
                x=[at + 0.08 * (2 * place - 1) for at in range(len(names))],
                y=theme.numbers(value),
                error_y={**whiskers, "thickness": 1.5, "width": 4},
                mode="markers",
                marker={"size": 9, "color": colour, "symbol": ("circle", "square")[place]},
                name=name,
                text=[f"{count:,} trades" for count in table[f"{prefix}trades"]],
                hovertemplate="%{y} (%{text})<extra></extra>",
            )
        )
    note = "below each threshold: trades of the model; * the policy's own"
    result = theme.figure(traces, title=title, x_title="expected outcome above", y_title=y_title, note=note)
    return result.update_xaxes(tickvals=list(range(len(names))), ticktext=names, zeroline=False)


def _threshold(row: dict[str, Any]) -> str:
    """A threshold and its trades, for the axis."""
    level = "none" if row["above"] is None else significant(row["above"])
    return f"{level}{'*' if row['policy'] else ''}<br>{row['trades']:,}"


def _above_drawdown(frame: pl.DataFrame, x: str, y_columns: Sequence[str], *, title: str, x_title: str) -> go.Figure:
    """Each column over `x`, and below it its column `… drawdown`."""
    drawn, note = thin(frame)
    result = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.05)
    for place, name in enumerate(y_columns):
        result.add_trace(theme.line(drawn, x, name, place), 1, 1)
        below = theme.line(drawn, x, f"{name} drawdown", place)
        result.add_trace(below.update(showlegend=False, line_width=1), 2, 1)
    theme.titled(result, title=title, note=note, height=460)
    result.update_layout(hovermode="x unified", showlegend=len(y_columns) > 1)
    result.update_yaxes(title_text="draw-<br>down", row=2)
    return result.update_xaxes(title_text=x_title, row=2)
