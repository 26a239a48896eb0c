"""Execute a parameterised notebook so that no failure passes for success.

papermill over a kernel on unix sockets (no TCP port). What counts as success is our own evidence: the kernel's reply
"ok" to every code cell. papermill's metadata is not asked: after a killed kernel it calls every cell "completed", and
of the cells that `SystemExit(0)` left out it says nothing.
"""

import contextlib
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError
from nbconvert.filters import strip_ansi
from papermill.exceptions import PapermillException
from papermill.execute import ERROR_MARKER_TAG
from traitlets.config import Config

from bq.core import files, paths, secrets
from bq.core.errors import BadParameters, BQError, did_you_mean
from bq.core.numerals import significant
from bq.workbench.parameters_cell import assigned

START_SECONDS = 180  # a kernel importing on a busy machine
STDERR = "stderr"  # in the run's private folder: what a kernel says outside its cells
LAST_WORDS = 5000  # characters of it that are kept where the kernel died
FINDINGS = "findings"  # tag of the cell that says what a notebook shows
PLAIN = (str, int, float, bool, type(None))
# ipykernel listens on a local TCP port for the prints of forked children, whatever the transport: closed before cell 1
CLOSE_PORT = "(lambda t: t.io_loop.add_callback(t._pipe_in.close))(get_ipython().kernel.parent.iopub_thread)"
# where a crash in native code was, said past the pipe that ends with the kernel
SAY_CRASH = "__import__('faulthandler').enable(__import__('sys').stderr._original_stdstream_copy, all_threads=False)"


class NotebookFailed(BQError):
    """A notebook did not run to its end. It was saved as far as it came.

    cell_index : position of the failing cell in the saved notebook, from 0.
    ename, evalue : name and message of the error. traceback : text without colour codes, may be empty.
    """

    def __init__(self, output: Path, *, cell_index: int, ename: str, evalue: str, traceback: str) -> None:
        self.cell_index, self.ename, self.evalue, self.traceback = cell_index, ename, evalue, traceback
        reason = textwrap.shorten(f"{ename}: {evalue}", 400, placeholder=" …").rstrip(".: ")
        super().__init__(
            f"{output.name}: every cell must run to its end, but cell {cell_index} stopped with {reason}. "
            "The report shows it as far as it came."
        )


@dataclass(frozen=True)
class _Limits:
    cell_seconds: float
    run_seconds: float
    end: float  # on the monotonic clock

    def left(self, _cell: nbformat.NotebookNode) -> float:
        return max(0.1, min(self.cell_seconds, self.end - time.monotonic()))

    def describe(self) -> str:
        if time.monotonic() >= self.end:
            left = f"what is left of run.run_timeout_seconds ({significant(self.run_seconds, 6)} s)"
            return f"the notebook must end within {left}."
        return f"a cell must end within run.cell_timeout_seconds ({significant(self.cell_seconds, 6)} s)."


class _KernelManager(AsyncKernelManager):
    """A kernel that keeps off our standard error, and whose worker processes end with it, also when it was killed."""

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        with Path(os.environ["JUPYTER_RUNTIME_DIR"], STDERR).open("ab") as said:
            await super()._async_launch_kernel(kernel_cmd, **kw, stderr=said)

    _launch_kernel = _async_launch_kernel

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        group = getattr(self.provisioner, "pgid", None)
        await super()._async_cleanup_resources(restart=restart)
        if group and not restart:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGTERM)  # not KILL: loky's tracker outlives TERM and frees shared memory

    cleanup_resources = _async_cleanup_resources


def execute(
    notebook: Path,
    output: Path,
    *,
    parameters: dict[str, Any],
    run_dir: Path,
    cell_timeout_seconds: int,
    deadline_seconds: float,
) -> None:
    """Run `notebook` with `parameters` and save it, executed, at `output`.

    output : must lie inside `run_dir`; replaced atomically, also when the notebook failed.
    parameters : names that the notebook's cell tagged `parameters` assigns; plain values or lists of them.
    cell_timeout_seconds : of one cell. deadline_seconds : of the whole notebook, from now.

    Raises BadParameters before anything runs, and NotebookFailed after the part that ran was saved.
    """
    if not paths.inside(output, run_dir):
        raise BadParameters(f"the executed notebook must be written inside {run_dir}, but got {output}.")
    check_parameters(notebook, parameters)
    output, notebook = output.resolve(), notebook.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    running = output.with_name(f".{output.stem}.running.ipynb")
    limits = _Limits(cell_timeout_seconds, deadline_seconds, time.monotonic() + deadline_seconds)
    replies: dict[int, dict] = {}
    try:
        _run(notebook, running, parameters=parameters, replies=replies, limits=limits)
        failure = _save(running, output, source=notebook.name, replies=replies, limits=limits)
    except (PapermillException, NoSuchKernel, RuntimeError, TimeoutError) as error:
        failure = _save(running, output, source=notebook.name, replies=replies, limits=limits, error=error)
    except BaseException as error:  # a cancelled run leaves what it has
        with contextlib.suppress(OSError, ValueError):
            _save(running, output, source=notebook.name, replies=replies, limits=limits, error=error)
        raise
    if failure:
        raise failure


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    """Refuse names the notebook does not declare and values that are not plain: both would be pasted into code."""
    if not notebook.is_file():
        raise BadParameters(f"{notebook}: the notebook must exist, but there is none.")
    try:
        declared = _declared(nbformat.read(notebook, as_version=4))
    except (ValueError, SyntaxError, nbformat.ValidationError) as error:
        raise BadParameters(f"{notebook}: must be a notebook with plain Python parameters, but: {error}") from None
    for name, value in parameters.items():
        if not str(name).isidentifier() or name not in declared:
            hint = did_you_mean(str(name), declared)
            raise BadParameters(f"{notebook.name}: {name!r} is not a parameter of the notebook; {hint}")
        for item in value if type(value) is list else [value]:
            if type(item) not in PLAIN:
                raise BadParameters(
                    f"{notebook.name}: `{name}` must be text, a number, true/false, None or a list of these, "
                    f"but holds {type(item).__name__}."
                )


def findings(executed: Path) -> list[str]:
    """The sentences with which an executed notebook ends, each once; none where it did not come so far."""
    return findings_in(nbformat.read(executed, as_version=4))


def findings_in(notebook: nbformat.NotebookNode) -> list[str]:
    """As `findings`, of a notebook that was read."""
    cells = notebook.cells
    told = [cell.outputs for cell in cells if FINDINGS in cell.metadata.get("tags", []) and cell.cell_type == "code"]
    texts = [output.get("data", {}).get("text/plain", "") for outputs in told for output in outputs]
    return list(dict.fromkeys(line for text in texts for line in text.splitlines() if line))


def _declared(notebook: nbformat.NotebookNode) -> set[str]:
    """The names that the cell tagged `parameters` assigns."""
    names = set()
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            names |= assigned(cell.source)
    return names


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables (kernels inherit them), then put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _run(notebook: Path, running: Path, *, parameters: dict, replies: dict[int, dict], limits: _Limits) -> None:
    """Execute through papermill into `running`; the kernel's reply to each cell goes into `replies`."""

    def keep_reply(*, cell_index: int, execute_reply: dict, **_: Any) -> None:
        replies[cell_index] = execute_reply["content"]

    with (
        tempfile.TemporaryDirectory(prefix="bq-") as private,
        _environment(
            JUPYTER_PREFER_ENV_PATH="1",  # else a kernel in the user's home outranks this environment's
            JUPYTER_RUNTIME_DIR=private,
            IPYTHONDIR=private,  # start-up scripts of the user are no part of a run
            TQDM_DISABLE="1",
        ),
        _last_words(Path(private, STDERR)),
    ):
        papermill.execute_notebook(
            _literal(notebook),
            _literal(running),
            parameters=parameters,
            kernel_name="python3",
            cwd=paths.home(),
            progress_bar={"desc": notebook.stem, "leave": False} if sys.stderr.isatty() else False,
            start_timeout=min(START_SECONDS, int(limits.run_seconds) + 1),
            # below: options of nbclient
            timeout_func=limits.left,
            iopub_timeout=60,
            force_raise_errors=True,
            on_cell_executed=keep_reply,
            extra_arguments=[f"--IPKernelApp.exec_lines={line}" for line in (CLOSE_PORT, SAY_CRASH)],
            kernel_manager_class=_KernelManager,
            # sockets under a short path: the limit is 104 bytes on macOS, 108 on Linux
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{private}/k"}}),
        )


@contextlib.contextmanager
def _last_words(said: Path) -> Iterator[None]:
    """Note on the error of a kernel that died, or never came up, what it said at the last."""
    try:
        yield
    except RuntimeError as error:
        if said.exists():
            error.add_note(secrets.redact(strip_ansi(said.read_text("utf-8", "replace")))[-LAST_WORDS:].strip())
        raise


def _literal(path: Path) -> str:
    """Escape a path: papermill reads `{` in it as a format field."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _save(
    running: Path,
    output: Path,
    *,
    source: str,
    replies: dict[int, dict],
    limits: _Limits,
    error: BaseException | None = None,
) -> NotebookFailed | None:
    """Move the executed notebook into place, its failure written into the failing cell; return that failure."""
    notebook = nbformat.read(running, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if ERROR_MARKER_TAG not in cell.metadata.get("tags", [])]
    notebook.metadata.papermill.update(input_path=source, output_path=output.name)
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    unproven = [i for i in code if replies.get(i, {}).get("status") != "ok"]
    failure = None
    if error or unproven:
        index = (unproven or code[-1:] or [0])[0]
        reason = _reason(replies.get(index, {}), error, limits)
        failure = NotebookFailed(
            output, cell_index=index, **{name: secrets.redact(text) for name, text in reason.items()}
        )
        _mark(notebook, index, failure)
    content = nbformat.writes(notebook)
    if secrets.redact_and_count(content)[1]:  # by text, so that it stays a notebook
        notebook, count = secrets.redacted(notebook)
        files.warn_of_redacted(output, count)
        content = nbformat.writes(notebook)
    files.write_bytes(output, content.encode("utf-8"))
    running.unlink()
    return failure


def _reason(reply: dict, error: BaseException | None, limits: _Limits) -> dict[str, str]:
    """Name, message and traceback of a failure: from the kernel's reply where there is one."""
    if reply.get("status") == "error":
        traceback = strip_ansi("\n".join(reply.get("traceback", [])))
        return {"ename": reply["ename"], "evalue": strip_ansi(reply["evalue"]), "traceback": traceback}
    if isinstance(error, TimeoutError):
        ename, evalue = "Timeout", limits.describe()
    elif isinstance(error, DeadKernelError):
        ename, evalue = "KernelDied", "the process ended while it worked (killed, or out of memory)."
    elif error:
        ename, evalue = type(error).__name__, str(error)
    else:
        ename, evalue = "NotExecuted", "the kernel never answered that the cell ran."
    return {"ename": ename, "evalue": evalue, "traceback": "\n".join(getattr(error, "__notes__", []))}


def _mark(notebook: nbformat.NotebookNode, index: int, failure: NotebookFailed) -> None:
    """Write the failure into its cell (a killed kernel leaves nothing there), and no later cell is "completed"."""
    for later in notebook.cells[index + 1 :]:
        later.metadata.setdefault("papermill", {})["status"] = "pending"
    cell = notebook.cells[index]
    cell.metadata.setdefault("papermill", {}).update(status="failed", exception=True)
    seen = [output for output in cell.get("outputs", []) if output.output_type == "error"]
    traceback = failure.traceback.splitlines() or [line for output in seen for line in output.traceback]
    kept = [output for output in cell.get("outputs", []) if output.output_type != "error"]
    error = nbformat.v4.new_output("error", ename=failure.ename, evalue=failure.evalue, traceback=traceback)
    cell.outputs = [*kept, error]
