"""What a person sees of a real kernel: a bar that leaves nothing behind, and work that is stopped."""

import os
import queue
from pathlib import Path

import psutil
import pytest
from jupyter_client import KernelManager
from traitlets.config import Config

from bq.jobs.run import leftovers

SECONDS = 120


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel as JupyterLab starts one, without a port."""
    own = tmp_path_factory.mktemp("k")
    config = Config({"KernelManager": {"transport": "ipc", "ip": str(own / "k")}})
    manager = KernelManager(kernel_name="python3", config=config)
    home = {"BQ_HOME": str(own), "BQ_WORKERS": "2", "JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(own / "ipython")}
    manager.start_kernel(env={name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"} | home)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=SECONDS)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def come_of(client, asked: str) -> list[tuple[str, dict]]:
    """What a cell showed: kind and content of each message, to its end."""
    shown = []
    while True:
        try:
            message = client.get_iopub_msg(timeout=SECONDS)
        except queue.Empty:
            pytest.fail(f"the cell must end within {SECONDS} s; it showed {shown}")
        kind, content = message["msg_type"], message["content"]
        if message["parent_header"].get("msg_id") != asked or kind == "execute_input":
            continue
        if kind == "status":
            if content["execution_state"] == "idle":
                return shown
            continue
        shown.append((kind, content))


def test_a_bar_is_shown_on_every_run_and_leaves_nothing_behind(kernel):
    _, client = kernel
    cell = "from bq.core.log import progress\nlist(progress(range(3), total=3, description='folds')) and None"
    for _ in range(2):
        shown = come_of(client, client.execute(cell))
        assert {kind for kind, _ in shown} == {"display_data", "update_display_data"}, "no line on standard error"
        assert any("folds:" in content["data"].get("text/plain", "") for _, content in shown)
        assert shown[-1][1]["data"] == {}


def test_an_interrupted_cell_is_one_sentence_its_workers_end_and_the_next_cell_runs(kernel, tmp_path):
    manager, client = kernel
    pipes = [str(tmp_path / name) for name in ("first", "second")]
    for pipe in pipes:
        os.mkfifo(pipe)
    cell = f"""
import os, time
from bq.core.errors import interruptible
from bq.core.parallel import parallel_map
def work(pipe):
    with open(pipe, "w") as here:
        here.write(str(os.getpid()))
    time.sleep({SECONDS})
interruptible("bq.train")(parallel_map)(work, {pipes}, description="folds")
"""
    asked = client.execute(cell)
    workers = []
    for pipe in pipes:
        workers.append(psutil.Process(int(Path(pipe).read_text())))  # waits until the worker is in the midst of it
    manager.interrupt_kernel()
    shown = come_of(client, asked)
    (error,) = [content for kind, content in shown if kind == "error"]
    sentence = "bq.train was stopped and gave nothing back; run the cell again."
    assert error["traceback"] == [f"Interrupted: {sentence}"]
    assert [content for kind, content in shown if kind == "stream"] == []
    assert not leftovers.wait(workers, SECONDS)
    assert [c["data"]["text/plain"] for k, c in come_of(client, client.execute("6 * 7")) if k == "execute_result"] == [
        "42"
    ]
