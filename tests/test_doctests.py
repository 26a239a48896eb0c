"""Every example in a docstring of the package runs, and gives what it shows."""

import doctest
import importlib
from pathlib import Path

import pytest

from bq.core import paths

PACKAGE = Path(__file__).resolve().parents[1] / "bq"
WITH_EXAMPLES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text("utf-8"))
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A home for the events that examples build once; paths in them are those of a checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("BQ_DATABASE_URL", raising=False)
        patch.chdir(paths.CHECKOUT)
        yield


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", map(name_of, WITH_EXAMPLES))
def test_the_examples_of_a_module_show_what_it_does(name, capsys):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed, capsys.readouterr().out
