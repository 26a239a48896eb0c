"""Tables as a reader wants them, pages that load nothing, and the diagram of what a structure pays."""

import datetime as dt
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.strategies.butterfly import pricing
from bq.strategies.butterfly.payoff import legs, payoff, structure_of
from bq.strategies.events import NOTICES
from bq.workbench import page, plots, screen
from bq.workbench.table import table

ATTACK = "<script>alert('pwned')</script>"

SHOWN = {
    "none": (None, "–"),
    "nan": (float("nan"), "–"),
    "rounded": (1234.56789, "1,234.57"),
    "small": (0.0001234567, "0.000123"),
    "zero": (0.0, "0"),
    "negative": (-0.05, "-0.0500"),
    "count": (1234567, "1,234,567"),
    "truth": (True, "True"),
    "text": ("KO", "KO"),
    "date": (dt.date(2019, 4, 25), "2019-04-25"),
}


@pytest.mark.parametrize(("value", "text"), SHOWN.values(), ids=SHOWN)
def test_a_value_is_shown_as_a_reader_wants_it(value, text):
    shown = table(pl.DataFrame({"x": [value]}))
    assert repr(shown).split("\n")[1].strip() == text
    assert f">{text}</td>" in shown._repr_html_()


def test_text_starts_at_the_left_and_only_long_text_takes_several_lines():
    frame = pl.DataFrame({"name": ["a", "bb"], "n": [1, 20], "why": ["short", "a long reason " * 4]})
    shown = table(frame)
    assert re.findall(r"<th( [^>]*|)>", shown._repr_html_()) == [
        ' class="text" style="text-align: left"',
        "",
        ' class="text long" style="text-align: left"',
    ]
    assert [line[:10] for line in repr(shown).splitlines()] == ["name   n  ", "a      1  ", "bb    20  "]


def test_all_rows_are_shown():
    shown = table(pl.DataFrame({"x": range(500)}))
    assert shown._repr_html_().count("<tr>") == 501 and len(repr(shown).splitlines()) == 501


def test_an_empty_table_has_its_head_and_says_why_it_is_empty():
    shown = table(pl.DataFrame({"x": [], "y": []}), empty="no trade <yet>")
    assert "<th>y</th>" in shown._repr_html_() and ">no trade &lt;yet&gt;</td>" in shown._repr_html_()
    assert repr(shown).splitlines() == ["x  y", "no trade <yet>"]


@pytest.mark.parametrize("where", ["value", "column", "list"])
def test_text_in_a_table_is_never_markup(where):
    frame = pl.DataFrame({ATTACK: [1]} if where == "column" else {"x": [ATTACK if where == "value" else [ATTACK]]})
    shown = table(frame)._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;" in shown


class Page(HTMLParser):
    """Tags with their attributes, and the text of each style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.styles = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.lasttag == "style":
            self.styles.append(data)


def written(tmp_path, *, source="real", title="A page", parts=None) -> str:
    curves = pl.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    figure = plots.lines(curves, "x", ["y"], title="Lines", x_title="x", y_title="y")
    default = [("One", ["Some *text*.", table(curves)]), ("Two", [figure])]
    page.write(tmp_path / "page.html", title=title, source=source, parts=default if parts is None else parts)
    return (tmp_path / "page.html").read_text()


def test_a_page_refers_to_nothing_outside_itself(tmp_path):
    found = Page(written(tmp_path))
    addresses = [
        value for _, attrs in found.tags for name, value in attrs.items() if name in {"src", "href", "srcset", "data"}
    ]
    assert addresses and all(value.startswith(("#", "data:")) for value in addresses)
    assert not re.search(r"url\(|@import", "".join(found.styles))
    assert not {tag for tag, _ in found.tags} & {"iframe", "object", "embed", "base", "form"}
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_a_page_shows_text_tables_and_figures_under_its_headings(tmp_path):
    page = written(tmp_path)
    assert "<em>text</em>" in page and "<th>x</th>" in page and page.count("data-figure=") >= 1
    assert [re.sub("<.*?>", "", text) for text in re.findall(r"<h2[^>]*>(.*?)</h2>", page)] == ["One", "Two"]


def test_a_long_column_name_may_break_within_and_is_read_whole(tmp_path):
    page = written(tmp_path, parts=[("One", [table(pl.DataFrame({"exit.hard_stop": [0.1]}))])])
    assert "<th>exit.<wbr>hard_<wbr>stop</th>" in page.replace("<wbr/>", "<wbr>")


@pytest.mark.parametrize("source", ["modelled", "simulated"])
def test_a_page_about_prices_that_were_not_quoted_says_so_in_red(tmp_path, source):
    assert f'<div class="banner red notice">{NOTICES[source]}</div>' in written(tmp_path, source=source)


def test_a_page_about_real_prices_has_no_notice(tmp_path):
    page = written(tmp_path, source="real")
    assert 'class="banner red notice"' not in page
    assert not any(notice in page for notice in NOTICES.values())


def test_nothing_in_a_page_runs_that_came_with_its_content(tmp_path):
    parts = [(ATTACK, [ATTACK, table(pl.DataFrame({ATTACK: [ATTACK]}))])]
    page = written(tmp_path, title=ATTACK, parts=parts)
    assert "<script>alert" not in page
    assert "pwned" in page  # shown as text


# ---- the pay-off diagram

SETTINGS = params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)
EVENT = {
    "structure": "CALL",
    "max_profit": 8.0,
    "max_loss": 2.0,
    "lower": 90.0,
    "body": 100.0,
    "upper": 110.0,
    "dte_days": 30,
    "spot": 99.0,
    "current_iv": 0.25,
    "expiry": dt.date(2019, 5, 25),
}


def at_expiry(event: dict, settings=SETTINGS, *, points: int = 441) -> tuple[np.ndarray, np.ndarray]:
    curves = payoff(event, settings, points=points)
    return curves["spot"].to_numpy(), curves["at expiry"].to_numpy()


@pytest.mark.parametrize("structure", ["CALL", "PUT"])
def test_at_expiry_a_debit_fly_pays_width_less_distance_and_costs_its_debit(structure):
    """As the worked example of width 10, cost 2, centre 100: ROI −1, 0, 1.5, 4 at 85, 92, 95, 100."""
    spot, profit = at_expiry(EVENT | {"structure": structure})
    debit = -profit.min()
    np.testing.assert_allclose(profit, np.maximum(10 - np.abs(spot - 100), 0) - debit, atol=1e-9)
    worked = {85.0: 0.0, 92.0: 2.0, 95.0: 5.0, 100.0: 10.0}
    for price, value in worked.items():
        place = np.flatnonzero(np.isclose(spot, price))
        assert len(place) == 1
        assert profit[place[0]] + debit == pytest.approx(value)
        assert (profit[place[0]] + debit - 2.0) / 2.0 == pytest.approx({85: -1, 92: 0, 95: 1.5, 100: 4}[int(price)])


def test_at_expiry_an_iron_fly_keeps_its_credit_at_the_body_and_loses_width_less_credit_beyond():
    spot, profit = at_expiry(EVENT | {"structure": "IRON"})
    credit = profit.max()
    assert credit == pytest.approx(8.0) and spot[profit.argmax()] == pytest.approx(100)
    np.testing.assert_allclose(profit, credit - np.minimum(np.abs(spot - 100), 10), atol=1e-9)


@pytest.mark.parametrize("structure", ["CALL", "PUT", "IRON"])
def test_entering_at_the_mid_price_loses_nothing_at_t0(structure):
    event = EVENT | {"structure": structure, "spot": 100.0}
    years = np.array([event["dte_days"] / 365.0])
    rules = {"rate": SETTINGS.structure.rate, "costs": SETTINGS.costs}
    iv = np.array([event["current_iv"]])
    mid = pricing.quote(structure_of(event), np.array([100.0]), iv, years, **rules).mid[0]
    paid = {"max_profit": -mid} if structure == "IRON" else {"max_loss": mid}
    for more in (0.0, 0.5):
        curves = payoff(event | {name: value + (-more if mid < 0 else more) for name, value in paid.items()}, SETTINGS)
        now = curves.filter((pl.col("spot") - 100).abs() < 1e-9)["at t0"].item()
        assert now == pytest.approx(-more, abs=1e-9)


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        ("CALL", [(1, "call", 90.0), (-2, "call", 100.0), (1, "call", 110.0)]),
        ("PUT", [(1, "put", 90.0), (-2, "put", 100.0), (1, "put", 110.0)]),
        ("IRON", [(1, "put", 90.0), (-1, "call", 100.0), (-1, "put", 100.0), (1, "call", 110.0)]),
    ],
    ids=["call", "put", "iron"],
)
def test_the_legs_of_a_structure_are_listed_with_equal_ones_together(structure, expected):
    found = legs(EVENT | {"structure": structure})
    assert found.select("quantity", "right", "strike").rows() == expected
    assert found["expiry"].unique().to_list() == [EVENT["expiry"]]


def test_a_page_is_named_by_its_whole_path_and_a_file_as_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert screen.shown(tmp_path / "outputs" / "r" / "report.html") == f"{tmp_path}/outputs/r/report.html"
    assert screen.shown(tmp_path / "parameters" / "mine.yaml") == "parameters/mine.yaml"
