"""Small drawings of a dashboard, as SVG without a script. Shapes stretch; words stand beside them as HTML."""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl
from markupsafe import Markup, escape

from bq.core.numerals import decimal, significant, with_sign
from bq.monitoring.overview import Sums, Week
from bq.workbench.svg import HEIGHT, WIDTH, Scale, steps

SUMS = {"decided": "model", "rule": "rule", "everything": "everything"}  # a line, and its class in the style sheet
CELL = 20  # of a heat map, in its own coordinates
LIGHTEST, DARKEST = 1.0, 5.0  # multiples of chance up to which a heat map is blank, and from which it is darkest
Values = Sequence[float | None]


def sums(found: Sums, *, labels: Mapping[str, str], said: str) -> Markup:
    """Running sums, each labelled with its end. labels : of the lines by name. said : what is summed, for a reader."""
    lines = {name: getattr(found, name) for name in SUMS}
    known = {name: values for name, values in lines.items() if any(value is not None for value in values)}
    shown = [(SUMS[name], values) for name, values in known.items()]
    legend = [(SUMS[name], f"{labels[name]} {_end(values)}") for name, values in known.items()]
    ticks = steps([0.0, *(value for values in known.values() for value in values if value is not None)])
    return _chart(found.sessions, shown, ticks, legend=legend, said=said)


def promised(weeks: Sequence[Week], *, said: str) -> Markup:
    """Predicted and realised outcome as means of the window that ends with each week, and of the week alone as dots.

    The band is the interval of realised - predicted, laid on the predicted mean: a promise is kept while it holds that.
    """
    predicted, realised = [one.window_predicted for one in weeks], [one.window_realised for one in weeks]
    low, high = ([_plus(one.window_predicted, getattr(one, end)) for one in weeks] for end in ("low", "high"))
    alone = [one.realised for one in weeks]
    every = [value for values in (predicted, realised, low, high, alone) for value in values if value is not None]
    legend = [("model", "predicted"), ("rule", "realised"), ("dot", "realised in the week")]
    legend += [("fan", "interval")] if any(value is not None for value in low) else []
    shown: list[tuple[str, Values]] = [("model", predicted), ("rule", realised)]
    dates = [one.week for one in weeks]
    return _chart(dates, shown, steps(every), legend=legend, said=said, band=(low, high), dots=alone)


def heat(multiples: pl.DataFrame, *, said: str) -> Markup:
    """Cells by feature and week, darker the further beyond chance. multiples : feature, week, multiple, in the order
    in which features are shown."""
    names = multiples["feature"].unique(maintain_order=True).to_list()
    weeks = multiples["week"].unique().sort().to_list()
    row, column = {name: i for i, name in enumerate(names)}, {week: i for i, week in enumerate(weeks)}
    cells = "".join(_cell(column[week], row[name], name, week, value) for name, week, value in multiples.iter_rows())
    labels = "".join(f'<span title="{escape(name)}">{escape(name)}</span>' for name in names)
    box = f"0 0 {CELL * len(weeks)} {CELL * len(names)}"
    drawn = f'<svg viewBox="{box}" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">{cells}</svg>'
    across = f'<div class="across">{_dates(weeks)}</div>'
    return Markup(f'<div class="heat"><div class="names">{labels}</div>{drawn}{across}</div>')


def _cell(x: int, y: int, name: str, week: dt.date, value: float | None) -> str:
    depth = 0.0 if value is None else min(max((value - LIGHTEST) / (DARKEST - LIGHTEST), 0.0), 1.0)
    title = f"{escape(name)}, week of {week}: {decimal(value, 1)} times chance"
    return (
        f'<rect x="{x * CELL}" y="{y * CELL}" width="{CELL - 1}" height="{CELL - 1}" '
        f'fill-opacity="{round(depth, 2)}"><title>{title}</title></rect>'
    )


def _chart(
    dates: Sequence[dt.date],
    lines: Sequence[tuple[str, Values]],
    ticks: Sequence[float],
    *,
    legend: Sequence[tuple[str, str]],
    said: str,
    band: tuple[Values, Values] | None = None,
    dots: Values = (),
) -> Markup:
    across, up = Scale(0, max(len(dates) - 1, 1), WIDTH), Scale(ticks[-1], ticks[0], HEIGHT)
    shapes = [
        f'<line class="{"zero" if tick == 0 else "tick"}" x1="0" x2="{WIDTH}" y1="{up.at(tick)}" y2="{up.at(tick)}"/>'
        for tick in ticks
    ]
    if band is not None:
        edge = [*_points(across, up, band[0]), *reversed(_points(across, up, band[1]))]
        shapes += [f'<polygon class="fan" points="{" ".join(edge)}"/>'] if edge else []
    spots = " ".join(f"M{point.replace(',', ' ')}h0" for point in _points(across, up, dots))
    shapes += [f'<path class="dot" d="{spots}"/>'] if spots else []
    shapes += [f'<polyline class="{name}" points="{" ".join(_points(across, up, values))}"/>' for name, values in lines]
    words = "".join(
        f'<span style="top:{round(100 * up.at(tick) / HEIGHT, 1)}%">{significant(tick, sign=True)}</span>'
        for tick in (ticks[0], ticks[-1], *([0.0] if 0.0 in ticks[1:-1] else []))
    )
    key = "".join(f'<li class="{name}">{escape(text)}</li>' for name, text in legend)
    return Markup(
        f'<div class="running small"><ul>{key}</ul><div class="axes"><div class="up">{words}</div>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">'
        f'{"".join(shapes)}</svg><div class="across">{_dates(dates)}</div></div></div>'
    )


def _points(across: Scale, up: Scale, values: Values) -> list[str]:
    return [f"{across.at(place)},{up.at(value)}" for place, value in enumerate(values) if value is not None]


def _plus(value: float | None, more: float | None) -> float | None:
    return None if value is None or more is None else value + more


def _end(values: Values) -> str:
    known = [value for value in values if value is not None]
    return with_sign(known[-1], 2) if known else "no result"


def _dates(dates: Sequence[dt.date]) -> str:
    """The first date and the last."""
    return "".join(f"<span>{date:%Y-%m-%d}</span>" for date in ((dates[0], dates[-1]) if len(dates) > 1 else dates))
