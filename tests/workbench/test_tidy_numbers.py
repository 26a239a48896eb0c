"""No page says `+nan`, `1.28e-06` or `-0%`, whatever it was given."""

import math
import re

import polars as pl
import pytest

from bq.runs.verdict import Decision, Verdict
from bq.serving import verdict_text
from bq.strategies.component import Component, Kind
from bq.workbench import page, report
from bq.workbench.table import table
from tests.stored import run_record
from tests.untidy import untidy

ODD = [1.28e-06, -1e-13, float("nan"), -0.0, 0.1 + 0.2, -3e-5, 1e17, None]


def text_of(page: str) -> str:
    return re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.S)


def test_what_is_looked_for_is_found():
    assert untidy("+nan, 1.28e-06, -0%, +0.000, 0.30000000000000004") == [
        *("+nan", "1.28e-06", "-0%", "+0.000", "0.30000000000000004")
    ]
    assert untidy("nano, 8e999092, 2021-05-03, -0.5, 0.000, [-0.02, +0.1], top-0 and information") == []


@pytest.mark.parametrize("value", ODD, ids=str)
def test_a_table_of_odd_numbers_is_tidy(tmp_path, value):
    frame = pl.DataFrame({"alone": [value], "other": [2.5]}, schema_overrides={"alone": pl.Float64})
    mixed = pl.DataFrame({"among": [value, 1.5, 0.25]}, schema_overrides={"among": pl.Float64})
    page.write(tmp_path / "page.html", title="t", source="real", parts=[("One", [table(frame), table(mixed)])])
    assert untidy(text_of((tmp_path / "page.html").read_text())) == []


ASKED = [Kind.NET, Kind.ALPHA, Kind.UPLIFT, Kind.OVER_ALL]


@pytest.mark.parametrize("value", [one for one in ODD if one is not None and math.isfinite(one)], ids=str)
def test_a_first_screen_of_odd_figures_is_tidy(tmp_path, value):
    bounds = {"low": value - 1e-9, "high": value + 1e-9, "baseline": -value, "sessions": 9, "blocks": 3.0}
    facts = [Component(kind=kind, holds=False, of="net", value=value, threshold=0.0, **bounds) for kind in ASKED]
    parts = [verdict_text.part(one) for one in facts]
    said = Verdict(decision=Decision.KEPT, headline="kept", components=parts)
    report.render([], tmp_path / "report.html", run=run_record(), verdict=said)
    assert untidy(text_of((tmp_path / "report.html").read_text())) == []
