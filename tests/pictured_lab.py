"""JupyterLab with a notebook that was run, as a picture: as `make lab` starts it, on a copy of the notebooks."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bq.core import files, paths
from tests import devtools

NOTEBOOK = "00_start_here.ipynb"
START_SECONDS, RUN_TRIES = 120, 24_000  # twenty minutes for all cells
OPEN = "globalThis.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
RUN_ALL = "void jupyterapp.commands.execute('notebook:run-all-cells')"
DONE = """jupyterapp.shell.currentWidget.content.widgets.filter((cell) => cell.model.type === 'code')
  .every((cell) => cell.model.executionCount !== null && cell.model.executionState !== 'running')"""
TO_TOP = """(() => { const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = 0; return notebook.scrollToItem(0, 'start').then(() => true); })()"""
QUIET = {"fetchNews": "false", "checkForUpdates": False}  # nothing is asked of the network


@contextlib.contextmanager
def shown(home: Path, *, width: int, height: int) -> Iterator[devtools.Browser]:
    """A browser on JupyterLab after all cells of a notebook ran, at its top."""
    with _lab(home) as address, devtools.Browser() as browser:
        browser.visit(address, OPEN, width, height, dark=False)
        browser.evaluate(RUN_ALL)
        browser.wait(DONE, what=NOTEBOOK, tries=RUN_TRIES)
        browser.evaluate(TO_TOP)
        browser.evaluate(devtools.PAUSE.replace("50", "3000"))  # figures come into the view one after the other
        yield browser


@contextlib.contextmanager
def _lab(home: Path) -> Iterator[str]:
    """A server on a copy of the notebooks; the address of one, which lets in whoever knows it."""
    with tempfile.TemporaryDirectory(prefix="bq-lab-") as folder:
        root, runtime = Path(folder), Path(folder, "runtime")
        shutil.copytree(paths.notebooks(), root / "notebooks")
        kept = root / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        files.write_text(kept, json.dumps(QUIET))
        own = {"BQ_HOME": str(home), "JUPYTERLAB_SETTINGS_DIR": str(root / "settings")}
        own |= {"JUPYTER_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(paths.CHECKOUT), "JUPYTER_PREFER_ENV_PATH": "1"}
        flags = ["--no-browser", "--allow-root", "--port=0", "--LabApp.expose_app_in_browser=True"]
        command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={root / 'notebooks'}", *flags]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        serving = subprocess.Popen(command, env={**os.environ, **own}, **silent)
        try:
            said = _said(runtime / f"jpserver-{serving.pid}.json")
            yield f"{said['url']}lab/tree/{NOTEBOOK}?token={said['token']}"
        finally:
            serving.terminate()
            serving.wait()


def _said(path: Path) -> dict[str, str]:
    """What the server writes down once it answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return json.loads(path.read_text())
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab must answer within {START_SECONDS} s, but did not")
