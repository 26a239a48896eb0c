import subprocess
import sys

import pytest

PUT_OFF = "import sys; from bq.core import lazy; lazy.put_off('fractions', 'Fraction'); "


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("used", "prints"),
    [
        ("from fractions import Fraction; print('_hash_algorithm' in vars(sys.modules['fractions']))", "False"),
        (
            "from fractions import Fraction; print(Fraction(6, denominator=4), sys.modules['fractions'].__file__[-2:])",
            "3/2 py",
        ),
        ("import fractions; print(fractions.Fraction(6, 4))", "3/2"),
        (
            "from fractions import Decimal; import fractions; print(Decimal(2), fractions.Fraction.__name__)",
            "2 Fraction",
        ),
        ("import fractions; print(hasattr(fractions, 'nothing'), hasattr(fractions, 'Fraction'))", "False True"),
    ],
    ids=["nothing is imported", "a call imports", "as a module", "another name", "no name"],
)
def test_what_is_put_off_is_imported_when_it_is_used_and_is_the_real_one(used, prints):
    assert said(PUT_OFF + used) == prints


def test_what_was_imported_before_stays():
    assert (
        said(
            "import fractions; before = fractions.Fraction; " + PUT_OFF + "import fractions as now; "
            "print(now.Fraction is before)"
        )
        == "True"
    )


def test_a_notebook_is_read_without_the_grammars_of_addresses_and_addresses_are_checked_all_the_same():
    loaded = "import bq, nbformat, sys; print('lark' in sys.modules); "
    checked = "from jsonschema import FormatChecker; is_one = FormatChecker().conforms; "
    asked = "print(is_one('http://exämple.org/a', 'iri'), is_one('no iri', 'iri'), 'lark' in sys.modules)"
    assert said(loaded + checked + asked).split() == ["False", "True", "False", "True"]
