"""One rule for every number that somebody reads."""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq.core import numerals

ROOT = Path(__file__).resolve().parents[2]
SHAPE = re.compile(r"^[+-]?\d{1,3}(,\d{3})*(\.\d+)?%?$")
ANY = st.one_of(
    st.floats(-1e300, 1e300), st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(-(10**9), 10**9), st.none()
)
FINITE = st.floats(-1e9, 1e9)
FORMS = {
    "decimal": numerals.decimal,
    "with_sign": numerals.with_sign,
    "percent": numerals.percent,
    "significant": numerals.significant,
    "column": lambda value: numerals.column([value])[0],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(value=ANY)
def test_whatever_a_number_is_its_text_has_no_exponent_no_nan_and_no_signed_zero(form, value):
    shown = form(value)
    assert shown == numerals.MISSING or SHAPE.match(shown), shown
    assert (shown == numerals.MISSING) == (value is None or not math.isfinite(value))
    assert not re.fullmatch(r"[+-][0.,]*%?", shown)


@given(value=FINITE, digits=st.integers(0, 6))
def test_a_number_read_back_is_the_number_to_its_decimals(value, digits):
    read = float(numerals.decimal(value, digits).replace(",", ""))
    assert abs(read - value) <= 0.5 * 10.0**-digits * (1 + 1e-6) + 1e-9 * abs(value)


@given(value=FINITE.filter(lambda value: abs(value) >= 1e-9), digits=st.integers(0, 4))
def test_what_is_not_zero_is_not_shown_as_zero(value, digits):
    assert float(numerals.decimal(value, digits).replace(",", "")) != 0


@given(value=FINITE.filter(lambda value: abs(value) >= 1e-8), digits=st.integers(1, 6))
def test_significant_digits_are_those_of_the_general_format(value, digits):
    """Python's own `g`, which has exponents, reads back as the same number."""
    expected = float(f"{value:.{digits}g}")
    assert float(numerals.significant(value, digits).replace(",", "")) == pytest.approx(expected, abs=1e-9, rel=1e-9)


@given(values=st.lists(st.one_of(FINITE, st.none(), st.just(math.nan)), min_size=1, max_size=12))
def test_numbers_below_each_other_have_the_same_decimals(values):
    shown = [text for text in numerals.column(values) if text != numerals.MISSING]
    assert len({len(text.partition(".")[2]) for text in shown}) <= 1
    assert not any(re.fullmatch(r"-[0.,]*", text) for text in shown)


CASES = {
    "tiny": (numerals.decimal(1.28e-06), "0.000001"),
    "rounding": (numerals.with_sign(-1.2e-16), "0.000"),
    "minus zero": (numerals.percent(-0.0), "0%"),
    "small share": (numerals.percent(0.0004), "0.04%"),
    "negative share": (numerals.percent(-0.004), "-0.4%"),
    "nan": (numerals.with_sign(float("nan"), missing="no figure"), "no figure"),
    "infinity": (numerals.decimal(np.float64("-inf")), "–"),
    "thousands": (numerals.decimal(12345.678, 0), "12,346"),
    "tolerance": (numerals.significant(1e-5), "0.00001"),
    "carry": (numerals.significant(0.0009996, 3), "0.001"),
}


@pytest.mark.parametrize(("shown", "expected"), CASES.values(), ids=CASES)
def test_a_number_is_shown_as_a_reader_wants_it(shown, expected):
    assert shown == expected


def test_text_is_no_number():
    with pytest.raises(TypeError, match="a number must be given, but got 'x'"):
        numerals.decimal("x")


OWN = re.compile(r"[efgEFG%]$")
WORDED = [ROOT / "bq" / folder for folder in ("workbench", "jobs", "tuning")]
WORDED += [ROOT / "bq" / "serving" / "verdict_text.py", ROOT / "bq" / "serving" / "ledger.py"]
NOT_READ = {"theme.py", "parameters.py"}  # numbers of a figure's JSON, and of a parameter file


def test_words_are_made_with_the_one_rule_and_with_no_format_of_their_own():
    """`+nan`, `1.28e-06` and `-0%` come from format specifications of floats: no f-string that people read has one."""
    found = []
    for path in [each for place in WORDED for each in (place.rglob("*.py") if place.is_dir() else [place])]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None and path.name not in NOT_READ:
                spec = ast.unparse(node.format_spec)[2:-1]
                if OWN.search(spec) and not re.search(r"%[a-zA-Z]", spec):
                    found.append(f"{path.name}:{node.lineno} {spec}")
    assert found == []
