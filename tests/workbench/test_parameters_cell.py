"""A slip in the first cell of a notebook is one sentence; a variable of one's own is none."""

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from bq.core import paths
from bq.workbench.parameters_cell import assigned

NOTEBOOKS = sorted(paths.notebooks().glob("*.ipynb"))
UP_TO = "\nsettings = "  # of the second cell: what stands before it runs here


def cells(path) -> tuple[str, str]:
    first, second = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"][:2]
    return first, second.replace("\nturned = ", UP_TO).partition(UP_TO)[0]


@pytest.fixture
def shown(tmp_path, capsys):
    """Run cells as a notebook does; what the last of them showed."""
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}), ipython_dir=str(tmp_path))

    def run(*sources: str) -> list[str]:
        for source in sources:
            capsys.readouterr()
            shell.run_cell(source, store_history=True)
        return [line for line in capsys.readouterr().out.splitlines() if line.strip()]

    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_checks_each_of_its_parameters(path, shown):
    first, second = cells(path)
    assert shown(first, second) == []
    assert assigned(first) == set(second.split('"')[1].split())
    for name in assigned(first):
        assert shown(f"del {name}", second) == [f"BadParameters: `{name}` must be set in the first cell, but is not."]
        shown(first)


@pytest.fixture
def start():
    return cells(NOTEBOOKS[0])


FOLD = ["BadParameters: `fold` is not a parameter of this notebook; did you mean `folds`?"]


def test_a_renamed_parameter_is_one_sentence_also_where_the_kernel_still_knows_the_right_one(start, shown):
    first, second = start
    renamed = first.replace("folds = 0", "fold = 4")
    assert renamed != first
    assert shown(renamed, second) == FOLD
    assert shown(first, second) == [], "the slip is mended, though the kernel still knows it"
    assert shown(renamed, second) == FOLD


def test_a_mistyped_line_beside_the_right_one_is_one_sentence(start, shown):
    first, second = start
    assert shown(f"{first}\nfold = 4", second) == FOLD


@pytest.mark.parametrize(
    "more",
    ["universe = 'AAPL,MSFT'", "start = '2015-01-01'", "symbol = 'AAPL'\nsymbols = symbol + ',MSFT'"],
    ids=["another name", "begins like one", "used here"],
)
def test_a_variable_of_ones_own_may_stand_in_the_first_cell(more, start, shown):
    first, second = start
    assert shown(f"{first}\n{more}", second) == []


def test_what_a_run_sets_beside_the_first_cell_is_no_slip(start, shown):
    first, second = start
    assert shown(first, "# Parameters\nstrategy = 'breakout'\nfolds = 4", second) == []


@pytest.mark.parametrize("own", ['"no"', '"False"', "0", "None"])
def test_a_switch_that_is_neither_true_nor_false_is_refused(own, shown):
    first, second = cells(paths.notebooks() / "06_strategy_tuning.ipynb")
    (said,) = shown(first.replace("own = False", f"own = {own}"), second)
    assert said.startswith("BadParameters: `own` must be True or False, but got ")


def test_every_switch_of_a_notebook_is_checked_as_one():
    for path in NOTEBOOKS:
        first, second = cells(path)
        given = {}
        exec(first, given)
        switches = [name for name in assigned(first) if isinstance(given[name], bool)]
        assert switches == (second.split('switches="')[1].split('"')[0].split() if "switches" in second else []), path
