import nbformat
import psutil
import pytest
from workbench_sample import write_notebook

from bq.core import files
from bq.core.errors import BadParameters
from bq.jobs.run import leftovers
from bq.workbench import notebooks, report
from tests.stored import run_record

PARAMETERS = (
    "parameters",
    "symbol = 'AAPL'  # name; which\nfolds = 6  # count; test blocks\npath = ''  # file; result",
)
KILL = "import os\nos.kill(os.getpid(), 9)"
SLEEP = "import time\ntime.sleep(100)"
NO_TCP = """
import psutil
kernel = psutil.Process()
found = [c for p in [kernel, *kernel.children(recursive=True)] for c in p.net_connections('inet')]
assert not found, found
"""


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Write a notebook of these cells, execute it, return the executed one."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    output = tmp_path / "run {1}" / "out.ipynb"

    def run(*sources, parameters=None, cell_timeout_seconds=60, deadline_seconds=120):
        source = write_notebook(tmp_path / "in.ipynb", [PARAMETERS, *[("code", source) for source in sources]])
        limits = {"cell_timeout_seconds": cell_timeout_seconds, "deadline_seconds": deadline_seconds}
        notebooks.execute(source, output, parameters=parameters or {}, run_dir=output.parent, **limits)
        return nbformat.read(output, as_version=4)

    run.output = output
    return run


def test_parameters_reach_the_notebook_as_the_values_they_were(execute):
    values = {"symbol": "a\"b\\\n{x}'", "folds": [1, 2.5, None, True, "NO"]}
    check = f"assert [symbol, folds] == {list(values.values())!r}"
    code = f"import os\n{check}\nprint(os.getcwd(), os.environ['TQDM_DISABLE'])"
    done = execute(code, parameters=values)
    assert done.cells[-1].outputs[0].text.split() == [str(execute.output.parents[1]), "1"]


def test_a_library_that_looks_for_widgets_leaves_no_warning_in_the_notebook(execute):
    outputs = execute("import bq\nimport tqdm.auto\nprint('done')").cells[-1].outputs
    assert [(output.name, output.text) for output in outputs] == [("stdout", "done\n")]


def test_the_kernel_opens_no_tcp_port(execute):
    execute(NO_TCP)


@pytest.mark.parametrize(
    ("source", "ename", "limits"),
    [
        pytest.param("1 / 0", "ZeroDivisionError", {}, id="exception"),
        pytest.param("raise SystemExit(0)", "SystemExit", {}, id="SystemExit(0)"),
        pytest.param("def (", "SyntaxError", {}, id="syntax"),
        pytest.param(KILL, "KernelDied", {}, id="killed kernel"),
        pytest.param(SLEEP, "Timeout", {"cell_timeout_seconds": 2}, id="cell timeout"),
        pytest.param(SLEEP, "Timeout", {"deadline_seconds": 8}, id="run deadline"),
    ],
)
def test_every_kind_of_failure_is_raised_and_still_gives_a_report(execute, tmp_path, capfd, source, ename, limits):
    with pytest.raises(notebooks.NotebookFailed) as caught:
        execute("print('before it')", source, "print('never')", **limits)
    failure = caught.value
    assert "Traceback" not in capfd.readouterr().err
    assert (failure.cell_index, failure.ename) == (2, ename)
    assert "\x1b" not in failure.traceback + failure.evalue
    saved = nbformat.read(execute.output, as_version=4)
    assert saved.cells[2].source == source
    assert [cell.metadata.papermill.status for cell in saved.cells] == ["completed", "completed", "failed", "pending"]
    target = tmp_path / "report.html"
    report.render([execute.output], target, run=run_record(status="failed", error=str(failure)), verdict=None)
    page = target.read_text()
    assert "This run failed." in page
    assert 'href="#cell-0-2"' in page
    assert 'id="cell-0-2"' in page
    assert ename in page
    assert "before it" in page


def test_a_kernel_that_dies_natively_leaves_its_last_words_in_the_notebook(execute, capfd, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # else ipykernel treats its streams otherwise than in a run
    with pytest.raises(notebooks.NotebookFailed, match="KernelDied"):
        execute("import os\nos.abort()")
    saved = nbformat.read(execute.output, as_version=4)
    assert "Fatal Python error: Aborted" in "\n".join(saved.cells[1].outputs[-1].traceback)
    assert "Fatal" not in capfd.readouterr().err


def test_the_message_names_cell_error_and_notebook(execute):
    with pytest.raises(
        notebooks.NotebookFailed, match=r"but cell 1 stopped with ValueError: too few events\. The report"
    ):
        execute("raise ValueError('too few events.')")


def test_an_error_the_notebook_allows_itself_still_fails(execute, tmp_path):
    source = write_notebook(tmp_path / "tagged.ipynb", [PARAMETERS, ("code", "1 / 0")])
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, source)
    limits = {"cell_timeout_seconds": 60, "deadline_seconds": 60}
    with pytest.raises(notebooks.NotebookFailed, match="ZeroDivisionError"):
        notebooks.execute(source, tmp_path / "out.ipynb", parameters={}, run_dir=tmp_path, **limits)


def test_processes_of_a_killed_kernel_end_with_it(execute, tmp_path):
    path = tmp_path / "pid"
    start = f"import subprocess\nopen({str(path)!r}, 'w').write(str(subprocess.Popen(['sleep', '300']).pid))"
    with pytest.raises(notebooks.NotebookFailed):
        execute(start, KILL)
    pid = int(path.read_text())
    if psutil.pid_exists(pid):
        assert not leftovers.wait([psutil.Process(pid)], 20)


def test_a_failing_write_leaves_the_previous_notebook_whole(execute, monkeypatch):
    execute("print('first')")
    before = execute.output.read_bytes()

    def full(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError, match="No space left"):
        execute("print('second')")
    assert execute.output.read_bytes() == before


def test_a_cancelled_run_leaves_what_it_has(execute, monkeypatch):
    def cancel(notebook, running, **_):
        started = nbformat.read(notebook, as_version=4)
        started.metadata["papermill"] = {}
        nbformat.write(started, running)
        raise KeyboardInterrupt

    monkeypatch.setattr(notebooks, "_run", cancel)
    with pytest.raises(KeyboardInterrupt):
        execute("print(1)")
    assert list(execute.output.parent.iterdir()) == [execute.output]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        pytest.param({"fold": 3}, r"did you mean `folds`\?", id="unknown name"),
        pytest.param({"x=1\nopen('pwned','w')\ny": 1}, "is not a parameter of the notebook", id="code as a name"),
        pytest.param({"folds": {"a": 1}}, "`folds` must be text, a number.* but holds dict", id="dict"),
        pytest.param({"folds": [[1]]}, "but holds list", id="nested list"),
    ],
)
def test_parameters_that_do_not_hold_are_refused_before_anything_runs(execute, parameters, message):
    with pytest.raises(BadParameters, match=message):
        execute("open('pwned', 'w')", parameters=parameters)
    assert not execute.output.exists()


def test_an_output_outside_the_run_folder_is_refused(tmp_path):
    source = write_notebook(tmp_path / "in.ipynb", [PARAMETERS])
    limits = {"cell_timeout_seconds": 60, "deadline_seconds": 60}
    with pytest.raises(BadParameters, match="must be written inside"):
        notebooks.execute(
            source, tmp_path / "run" / ".." / "x.ipynb", parameters={}, run_dir=tmp_path / "run", **limits
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "must exist", id="absent"),
        pytest.param("{", "must be a notebook", id="not JSON"),
    ],
)
def test_a_notebook_that_cannot_be_read_is_named(tmp_path, content, message):
    source = tmp_path / "in.ipynb"
    if content:
        source.write_text(content)
    with pytest.raises(BadParameters, match=message):
        notebooks.check_parameters(source, {})
