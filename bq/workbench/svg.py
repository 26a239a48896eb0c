"""The two drawings of a first screen, as SVG: there before any script runs, on paper and in the mail too.

Shapes stretch to the width of the page; words stand beside them as HTML, so that they keep their size on a phone.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from bq.core.numerals import significant, with_sign
from bq.runs.verdict import Part, Running

WIDTH, HEIGHT = 1000, 300  # of the drawing's own coordinates
TICKS = 4
LINES = ("model", "rule", "everything")
BESIDE = 0.08  # of the range, left free at either end
ABOVE = 0.04  # of the range of a running sum, left free above and below


class Scale(NamedTuple):
    """From values to coordinates."""

    first: float
    last: float
    length: float

    def at(self, value: float) -> float:
        """The coordinate of a value, rounded: a tenth of a pixel is finer than a screen."""
        return round((value - self.first) / (self.last - self.first) * self.length, 1) + 0.0  # never -0.0


def running(found: Running) -> Markup:
    """Running sums of the model and what it is held against, with the fan of the model's interval.

    Empty where fewer than two sessions have a result.
    """
    if len(found.sessions) < 2:
        return Markup()
    lines = [(name, title) for name, title in zip(LINES, found.names, strict=False) if getattr(found, name)]
    every = [value for name, _ in lines for value in _known(getattr(found, name))]
    across = Scale(0, len(found.sessions) - 1, WIDTH)
    known = [*every, *_known(found.low[-1:]), *_known(found.high[-1:]), 0.0]
    whole = steps(known, ticks=TICKS + 2)  # those beyond the result are not drawn
    room = ABOVE * (max(known) - min(known)) or whole[-1] - whole[0]
    up = Scale(min(whole[-1], max(known) + room), max(whole[0], min(known) - room), HEIGHT)
    ticks = [tick for tick in whole if up.last <= tick <= up.first]
    shapes = [_horizontal(up.at(tick), "zero" if tick == 0 else "tick") for tick in ticks]
    if found.low and found.high:
        shapes.append(f'<polygon class="fan" points="{_points(across, up, found.low, found.high)}"/>')
    shapes += [f'<polyline class="{name}" points="{_points(across, up, getattr(found, name))}"/>' for name, _ in lines]
    words = [
        f'<span style="top:{round(100 * up.at(tick) / HEIGHT, 1)}%">{significant(tick, sign=True)}</span>'
        for tick in ticks
    ]
    ends = [f'<li class="{name}">{escape(title)} {_end(getattr(found, name))}</li>' for name, title in lines]
    fan = '<li class="fan">the gate\'s interval for the model</li>' if found.low and found.high else ""
    summed = f"{escape(found.of)}, running sum over {escape(found.over)}"
    title = f"{summed}, {found.sessions[0]} to {found.sessions[-1]}. " + "; ".join(
        f"{escape(title)} ends at {_end(getattr(found, name))}" for name, title in lines
    )
    return Markup(
        f'<figure class="running"><figcaption>{summed}'
        f'<ul>{"".join(ends)}{fan}</ul></figcaption><div class="axes"><div class="up">{"".join(words)}</div>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{title}">'
        f'{"".join(shapes)}</svg><div class="across">{_dates(found)}</div></div></figure>'
    )


def interval(part: Part) -> Markup:
    """A component's interval against its threshold; empty where one of the two is not known.

    The mark at the middle of the drawing is the threshold, so that components can be compared at a glance. What has an
    interval must be above it.
    """
    facts = part.facts
    if facts is None or facts.threshold is None or facts.value is None or facts.low is None or facts.high is None:
        return Markup()
    known = [value for value in (facts.low, facts.high, facts.value, facts.bound) if value is not None]
    reach = max(abs(value - facts.threshold) for value in known) * (1 + BESIDE) or 1.0
    across = Scale(facts.threshold - reach, facts.threshold + reach, WIDTH)
    low, high, value = map(across.at, (facts.low, facts.high, facts.value))
    shapes = [
        f'<line class="threshold" x1="{WIDTH / 2}" x2="{WIDTH / 2}" y1="0" y2="20"/>',
        f'<line class="interval" x1="{low}" x2="{high}" y1="10" y2="10"/>',
    ]
    if facts.bound is not None:
        shapes.append(f'<line class="bound" x1="{across.at(facts.bound)}" x2="{low}" y1="10" y2="10"/>')
    shapes.append(f'<line class="value" x1="{value}" x2="{value}" y1="4" y2="16"/>')
    return Markup(
        f'<svg class="range {part.mark}" viewBox="0 0 {WIDTH} 20" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(shapes)}</svg>"
    )


def steps(values: Iterable[float], *, ticks: int = TICKS) -> list[float]:
    """Round values, evenly apart, that enclose all of these: about so many.

    >>> steps([-1.2, 3.4])
    [-2.0, 0.0, 2.0, 4.0]
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    exact = span / (ticks - 1)
    size = 10 ** math.floor(math.log10(exact))
    step = next(size * nice for nice in (1, 2, 2.5, 5, 10) if size * nice >= exact * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * float(step), 12) for place in range(first, max(last, first + 1) + 1)]


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _points(across: Scale, up: Scale, *bounds: Sequence[float | None]) -> str:
    """A line through one sequence; of two, there along the first and back along the second."""
    path = [(place, value) for place, value in enumerate(bounds[0])]
    path += [(place, value) for place, value in reversed([*enumerate(bounds[-1])])] if len(bounds) > 1 else []
    return " ".join(f"{across.at(place)},{up.at(value)}" for place, value in path if value is not None)


def _horizontal(y: float, name: str) -> str:
    return f'<line class="{name}" x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>'


def _end(values: Sequence[float | None]) -> str:
    known = _known(values)
    return with_sign(known[-1], 2) if known else "no result"


def _dates(found: Running) -> str:
    """The first session, the middle one and the last, of equal places."""
    shown = found.sessions[0], found.sessions[len(found.sessions) // 2], found.sessions[-1]
    return "".join(f"<span>{day:%b %Y}</span>" for day in shown)
