"""Above the memory ceiling a run stops with its record, and below the target only as many workers start as fit."""

import platform
import time

import psutil
import pytest

from bq import runs, strategies
from bq.core import parallel, params, paths
from bq.core.errors import BQError
from bq.jobs.run import memory, protocol
from bq.jobs.run.protocol import Run


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("NOTIFY_CMD", raising=False)
    monkeypatch.setattr(protocol, "git_state", dict)
    return lambda share: params.load(
        paths.parameters("forecast"),
        strategies.get("forecast").settings,
        overrides=f"run.memory_ceiling_share={share}",
    )


def endless(run: Run) -> None:
    """A phase that only a signal ends."""
    with run.phase("training"):
        for _ in range(600):
            time.sleep(0.1)


def test_a_run_above_the_ceiling_fails_with_what_was_found_and_leaves_nothing_half_written(settings):
    with pytest.raises(BQError, match=r"`run.memory_ceiling_share`: the run must stay below 0.0001% .* in training"):
        protocol.perform(Run(settings(1e-6), job="retrain"), endless)
    assert not list(paths.outputs().glob(".*"))
    (found,) = runs.every()
    assert found.record.status == "failed" and "MiB in training. Try BQ_WORKERS=1" in found.record.error
    assert found.record.phases[0].name == "training" and found.record.phases[0].peak_rss_mib > 0
    assert (paths.outputs() / found.record.run_id / "report.html").is_file()


def test_what_cannot_be_stopped_goes_on_above_the_ceiling(settings):
    def deploy(run: Run) -> None:
        with run.phase("deployment", stoppable=False):
            time.sleep(2 * memory.SAMPLE_SECONDS)

    protocol.perform(Run(settings(1e-6), job="retrain"), deploy)
    (found,) = runs.every()
    assert found.record.status == "done"


def test_the_record_holds_workers_time_outs_and_limits(settings, monkeypatch):
    monkeypatch.setenv("BQ_WORKERS", "3")
    monkeypatch.setattr(memory, "CONTAINER", ())
    run = Run(settings(0.5), job="retrain")
    machine = psutil.virtual_memory().total / 2**20
    assert run.record.resources == {
        "workers": 3,
        "cell_timeout_seconds": 900,
        "run_timeout_seconds": 3600,
        "memory_ceiling_share": 0.5,
        "memory_machine_mib": int(machine),
        "memory_ceiling_mib": int(0.5 * machine),
        "memory_target_mib": int(0.4375 * machine),
    }


@pytest.mark.parametrize(
    "bound, mib",
    [("268435456\n", 256), ("max\n", None), ("9223372036854771712\n", None)],
    ids=["bounded", "unbounded", "unbounded, version 1"],
)
def test_a_container_s_bound_counts_as_the_machine(tmp_path, monkeypatch, bound, mib):
    (tmp_path / "memory.max").write_text(bound)
    monkeypatch.setattr(memory, "CONTAINER", (tmp_path / "memory.max", tmp_path / "absent"))
    whole = int(psutil.virtual_memory().total / 2**20)
    assert memory.Limits.of(0.5).machine == (mib or whole)


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        pytest.param(10.5, 4, id="room-for-all"),
        pytest.param(3.5, 2, id="room-for-two"),
        pytest.param(0.1, 1, id="none"),
    ],
)
def test_as_many_workers_start_as_fit_below_the_target(monkeypatch, processes, expected):
    """Each is taken to be as large as this process, which counts itself."""
    mine = psutil.Process().memory_info().rss / 2**20
    monkeypatch.setenv(parallel.MEMORY_TARGET, str(processes * mine))
    assert parallel.fitting(4) == expected


def test_without_a_run_there_is_no_target(monkeypatch):
    monkeypatch.delenv(parallel.MEMORY_TARGET, raising=False)
    assert parallel.fitting(4) == 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library gives memory back by itself")
def test_what_was_freed_is_given_back_to_the_system():
    parts = [bytearray(4000) for _ in range(40_000)]
    scattered = parts[::400]  # which keep the C library from giving back the rest by itself
    whole = psutil.Process().memory_info().rss
    del parts
    memory.give_back()
    assert whole - psutil.Process().memory_info().rss > 0.7 * 40_000 * 4000
    assert len(scattered) == 100
