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
    before, after = (
        "import fractions; before = fractions.Fraction; ",
        "import fractions; print(fractions.Fraction is before)",
    )
    assert said(before + PUT_OFF + after) == "True"


def test_a_module_below_one_that_is_put_off_is_found():
    put_off = "from bq.core import lazy; lazy.put_off('rfc3987_syntax', 'is_valid_syntax'); "
    used = "import rfc3987_syntax.syntax_helpers as below; print(below.is_valid_syntax('iri', 'http://exämple.org/a'))"
    assert said(put_off + used) == "True"


def test_what_is_not_installed_stays_so():
    put_off = "import sys; from bq.core import lazy; lazy.put_off('no_such_module', 'nothing'); "
    assert said(put_off + "print('no_such_module' in sys.modules)") == "False"


def test_a_notebook_is_read_without_the_grammars_of_addresses_and_addresses_are_checked_all_the_same():
    loaded = "import bq, nbformat, sys; print('lark' in sys.modules); "
    checked = "from jsonschema import FormatChecker; is_one = FormatChecker().conforms; "
    asked = "print(is_one('http://exämple.org/a', 'iri'), is_one('no iri', 'iri'), 'lark' in sys.modules)"
    assert said(loaded + checked + asked).split() == ["False", "True", "False", "True"]
