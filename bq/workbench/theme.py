"""How figures look: Okabe–Ito colours, legible at 360 px, small when serialised.

Colours: M. Okabe and K. Ito (2008), Color Universal Design, without its yellow, which white swallows.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
    "#000000",
)
GREY, LIGHT = "#57606a", "#e1e4e8"
SEQUENTIAL = [[0, "#ffffff"], [1, BLUE]]
DIVERGING = [[0, VERMILLION], [0.5, "#ffffff"], [1, BLUE]]
DASHES = ["solid", "dash", "dot", "dashdot"]  # a second sign beside the colour
MAX_POINTS = 1500  # of a line: more than a screen can show
TITLE_CHARACTERS = 44  # that fit into 360 px
LINE = 19  # px a line of a title takes

AXIS = {"gridcolor": LIGHT, "zerolinecolor": "#8c959f", "linecolor": "#8c959f", "automargin": True, "title_standoff": 8}
TEMPLATE = go.layout.Template(
    layout={
        "colorway": [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK],
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1b1f24"},
        "title": {"x": 0, "xref": "container", "xanchor": "left", "yref": "container", "yanchor": "bottom"},
        "title_font_size": 14,
        "title_pad": {"l": 4},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "margin": {"l": 8, "r": 12, "t": 50, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "hovermode": "closest",
        "xaxis": AXIS,
        "yaxis": AXIS,
    }
)


def figure(
    traces: Iterable[Any], *, title: str, x_title: str, y_title: str, note: str = "", height: int = 380
) -> go.Figure:
    """A figure in the house style. Titles carry units in brackets; `note` is a muted line below the title."""
    result = titled(go.Figure(list(traces)), title=title, note=note, height=height)
    result.update_xaxes(title_text=x_title)
    result.update_yaxes(title_text=y_title)
    return result


def titled(result: go.Figure, *, title: str, note: str, height: int) -> go.Figure:
    """Give a figure the house style and a title in lines that fit a phone, the muted note below it."""
    lines = textwrap.wrap(label(title), TITLE_CHARACTERS)
    notes = [f'<span style="font-size:12px;color:{GREY}">{line}</span>' for line in textwrap.wrap(label(note), 54)]
    text = "<br>".join(lines + notes)
    result.update_layout(template=TEMPLATE, height=height, margin_t=20 + LINE * (len(lines) + len(notes)))
    result.update_layout(meta={"title": label(title), "note": label(note), "line": LINE})  # for a wider screen
    place = {"y": 1 - 18 / height, "yref": "container", "yanchor": "bottom"}  # the first line; the others flow down
    return result.update_layout(title_text=text, title=place)


def no_data(title: str, reason: str) -> go.Figure:
    """A figure that says why there is nothing to draw, instead of empty axes."""
    result = titled(go.Figure(), title=title, note="", height=170)
    result.update_xaxes(visible=False).update_yaxes(visible=False)
    lines = "<br>".join(textwrap.wrap(label(reason), TITLE_CHARACTERS))
    centre = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False}
    return result.add_annotation(text=lines, font={"size": 13, "color": GREY}, **centre)


def label(value: Any) -> str:
    """Text as text: plotly would read `<b>` as markup."""
    return str(value).replace("<", "&lt;")


def numbers(values: Any) -> list[float | None]:
    """Floats with 5 significant digits, a third of the bytes; what is not finite becomes a gap.

    >>> numbers([0.123456789, float("nan"), 1234567])
    [0.12346, None, 1234600.0]
    """
    array = np.asarray(values, dtype=float)
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in array.tolist()]


def positions(values: pl.Series) -> list[Any]:
    """Values of an x axis as JSON knows them; dates and times as ISO text."""
    if values.dtype == pl.Date:
        return values.dt.to_string("%Y-%m-%d").to_list()
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.to_string("%Y-%m-%d %H:%M").to_list()
    return (
        numbers(values)
        if values.dtype.is_float()
        else [label(v) if isinstance(v, str) else v for v in values.to_list()]
    )


def thin(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """At most MAX_POINTS rows, evenly chosen, the last one kept; and a note that says so."""
    step = -(-frame.height // MAX_POINTS)
    if step <= 1:
        return frame, ""
    chosen = sorted({*range(0, frame.height, step), frame.height - 1})
    return frame[chosen], f"one in {step} of {frame.height:,} points drawn"


def nothing(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """Why these columns cannot be drawn; empty when they can."""
    if frame.height == 0:
        return "The table has no rows."
    finite = sum(np.isfinite(frame[name].cast(pl.Float64).to_numpy()).sum() for name in columns)
    return "" if finite else f"None of the {frame.height:,} rows has a number in {', '.join(columns)}."


def style(place: int, **more: Any) -> dict[str, Any]:
    """How the line of a series looks, by its place among them."""
    return {
        "dash": DASHES[place % len(DASHES)],
        "width": 1.8,
        "color": TEMPLATE.layout.colorway[place % 7],
        **more,
    }


def line(frame: pl.DataFrame, x: str, name: str, place: int) -> go.Scatter:
    """One column over `x`."""
    return go.Scatter(x=positions(frame[x]), y=numbers(frame[name]), name=label(name), mode="lines", line=style(place))
