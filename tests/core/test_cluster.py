"""On a Dask cluster the same numbers come out as without, also where a worker is killed; what cannot be is a sentence.

One cluster of two workers, as `make cluster` starts it.
"""

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")
sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))
from toy_strategy import TOY, toy_events, toy_settings

from bq.core import cluster, paths
from bq.core.errors import BadParameters, BQError, TemporalOverlap
from bq.core.namespace import Namespace
from bq.core.parallel import parallel_map
from bq.jobs import cluster as job
from bq.jobs import request
from bq.learning import walkforward
from bq.serving import candidate, registry

SMALL = {"STRATEGY": "breakout", "PARAMS": str(paths.CHECKOUT / "parameters" / "breakout.yaml")}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """The address of a cluster of two workers, which ends in good order."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BQ_")}
    environment |= SMALL | {"BQ_HOME": str(tmp_path_factory.mktemp("home")), "WORKERS": "2", "PORT": str(free_port())}
    environment["PYTHONPATH"] = os.pathsep.join([str(paths.CHECKOUT), str(Path(__file__).parent)])  # for what is sent
    command = [sys.executable, "-m", "bq", "cluster"]
    process = subprocess.Popen(command, cwd=paths.CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(2)]
    yield lines[1].strip().removeprefix("use it      export BQ_DASK_SCHEDULER=")
    process.terminate()  # as Ctrl-C does, which a process begun in the background may ignore
    rest = process.communicate(timeout=60)[0]
    assert lines[0].startswith("cluster     2 workers at tcp://127.0.0.1:")
    assert (process.returncode, rest.splitlines()[-1]) == (0, "cluster     ended")


@pytest.fixture
def on_cluster(started, monkeypatch):
    monkeypatch.setenv("BQ_DASK_SCHEDULER", started)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


class Heavy:
    """Notes whenever it arrives in a process."""

    def __init__(self, notes: Path) -> None:
        self.notes, self.values = notes, np.random.default_rng(1).standard_normal(200_000)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        (self.notes / f"{os.getpid()}-{id(self)}").touch()


def total(item: int, *, heavy: Heavy) -> tuple[float, int, str | None, str | None]:
    return heavy.values.sum() + item, os.getpid(), os.environ.get("BQ_DASK_SCHEDULER"), os.environ.get("BQ_WORKERS")


def test_results_are_in_order_and_what_is_bound_to_a_function_is_sent_once_not_with_each_item(on_cluster, tmp_path):
    heavy = Heavy(tmp_path)
    found = parallel_map(partial(total, heavy=heavy), range(30), description="totals")
    assert [value for value, *_ in found] == [heavy.values.sum() + item for item in range(30)]
    assert os.getpid() not in {process for _, process, *_ in found}
    assert {(scheduler, workers) for *_, scheduler, workers in found} == {(None, "1")}, "its own steps stay in a worker"
    assert len(list(tmp_path.iterdir())) <= 4


def fail(item: int) -> int:
    if item == 2:
        raise TemporalOverlap(f"item {item} must hold, but does not.")
    return item


def test_an_expected_error_reaches_the_caller_as_itself(on_cluster):
    with pytest.raises(TemporalOverlap, match=r"^item 2 must hold, but does not\.$"):
        parallel_map(fail, range(4), description="failing")


def die_once(job: walkforward.Job, *, mark: Path, real, **how) -> walkforward.Fitted:
    if len(job[1]) % 2 == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return real(job, **how)


def test_a_worker_killed_in_a_retrain_changes_nothing_the_champion_has_the_same_id(started, home, monkeypatch):
    events, settings = toy_events(sessions=120), toy_settings()
    alone = candidate.train(events, TOY, settings)
    mark = home / "killed"
    monkeypatch.setenv("BQ_DASK_SCHEDULER", started)
    dying = partial(die_once, mark=mark, real=walkforward.fit_and_predict)
    monkeypatch.setattr(walkforward, "fit_and_predict", dying)
    killed = candidate.train(events, TOY, settings)
    assert mark.exists()
    assert killed.oos.equals(alone.oos)
    ids = [
        registry.deploy(Namespace("toy", name), made.artefact, reason="a test")
        for name, made in (("a", alone), ("b", killed))
    ]
    assert ids[0] == ids[1]


def die(item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_workers_killed_again_and_again_at_one_task_are_a_sentence(on_cluster, monkeypatch):
    monkeypatch.setattr(cluster, "LOSSES", 1)  # each costs two workers
    with pytest.raises(BQError, match=r"^toy: every task must run to its end, but the workers"):
        parallel_map(die, range(2), description="toy")


def test_a_worker_of_another_version_is_refused_with_what_differs(on_cluster, monkeypatch):
    real = cluster.packages
    monkeypatch.setattr(cluster, "packages", lambda names: real(names) | {"polars": "0.1"})
    cluster._versions.cache_clear()
    with pytest.raises(BadParameters, match=r"does not: polars is [2-9]\S+ there and 0\.1 here"):
        parallel_map(fail, [1], description="toy")
    cluster._versions.cache_clear()


def test_a_scheduler_that_does_not_answer_is_a_sentence(monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS", 1)
    monkeypatch.setenv("BQ_DASK_SCHEDULER", f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(BadParameters, match="must be the address of a Dask scheduler that answers"):
        parallel_map(fail, [1], description="toy")


@pytest.mark.parametrize(
    "variables", [{"HOST": "10.0.0.1"}, {"BQ_DASK_SCHEDULER": "tcp://10.0.0.1:8786"}], ids=["begun", "joined"]
)
def test_no_cluster_is_open_to_other_machines_without_a_key(home, monkeypatch, variables):
    monkeypatch.delenv("BQ_DASK_TLS", raising=False)
    for name, value in (SMALL | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadParameters, match=r"=\S*10\.0\.0\.1.*BQ_DASK_TLS is not set"):
        job.main(request.read())


def test_without_a_scheduler_dask_is_not_even_imported():
    code = (
        "import sys; from bq.core.parallel import parallel_map; parallel_map(abs, [1, 2], description='toy');"
        "sys.exit('distributed' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "BQ_DASK_SCHEDULER"}
    subprocess.run([sys.executable, "-c", code], cwd=paths.CHECKOUT, env=environment | {"BQ_WORKERS": "1"}, check=True)
