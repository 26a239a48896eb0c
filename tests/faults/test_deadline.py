"""A run that is still at work after `run.run_timeout_seconds` stops, with its record, whatever it is doing."""

import time

import pytest

from bq import runs, strategies
from bq.core import params, paths
from bq.core.errors import BQError
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that may take one second."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("NOTIFY_CMD", raising=False)
    monkeypatch.setattr(protocol, "git_state", dict)
    schema = strategies.get("forecast").settings
    return Run(params.load(paths.parameters("forecast"), schema, overrides="run.run_timeout_seconds=1"), job="retrain")


def hang() -> None:
    """What only a signal ends."""
    for _ in range(600):
        time.sleep(0.1)


@pytest.mark.parametrize("phase", ["market data", "events", "gate"])
def test_a_phase_that_hangs_ends_as_a_failed_run_that_names_the_limit(run, phase):
    def work(run: Run) -> None:
        with run.phase(phase):
            hang()

    with pytest.raises(BQError, match=rf"`run.run_timeout_seconds`: the run must end within 1 s, .* in {phase}\."):
        protocol.perform(run, work)
    assert not list(paths.outputs().glob(".*"))
    (found,) = runs.every()
    assert found.record.status == "failed" and f"still in {phase}" in found.record.error
    assert "run_timeout_seconds" in found.report.read_text()


def test_a_deployment_under_way_goes_on_after_the_deadline(run):
    def work(run: Run) -> None:
        with run.phase("deployment", stoppable=False):
            while time.monotonic() < run.deadline + 0.5:
                time.sleep(0.1)
            run.record.status = "deployed"

    protocol.perform(run, work)
    (found,) = runs.every()
    assert (found.record.status, found.record.error) == ("deployed", None)


def test_a_report_that_hangs_leaves_the_record_of_what_was_done(run, monkeypatch):
    monkeypatch.setattr(protocol, "REPORT_SECONDS", 0.5)
    monkeypatch.setattr(Run, "render", lambda _: hang())
    with pytest.raises(BQError, match=r"could not be rendered: a report must be rendered within 0.5 s"):
        protocol.perform(run, lambda run: setattr(run.record, "status", "deployed"))
    (found,) = runs.every()
    assert found.record.status == "deployed" and "must be rendered within" in found.record.error
