"""A champion that is damaged can be replaced by a challenger; one that only cannot be read now is not skipped."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from bq import runs, strategies
from bq.core import files, params, paths
from bq.core.namespace import Namespace
from bq.jobs import attempt
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.serving import registry
from tests import stored

NAMESPACE = Namespace.parse("butterfly")
NO_EVENTS = pl.DataFrame(schema={"event_id": pl.String})


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """The folder of the champion in an own home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "NOTIFY_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(protocol, "git_state", dict)
    registry.deploy(NAMESPACE, stored.artefact(), reason="test")
    return paths.models(NAMESPACE) / registry.pointer(NAMESPACE).model_id


def ask() -> tuple[object, Run]:
    """The standing champion as a run hears of it."""
    strategy = strategies.get(NAMESPACE.strategy)
    settings = params.load(paths.parameters(NAMESPACE.strategy), strategy.settings)
    asked = SimpleNamespace(settings=settings, strategy=strategy, events=NO_EVENTS)
    run, found = Run(settings, job="retrain"), []
    protocol.perform(
        run,
        lambda under_way: found.append(
            attempt._standing(asked, NAMESPACE, NO_EVENTS, NO_EVENTS, under_way.record.warnings)
        ),
    )
    return found[0], run


def test_a_disk_that_fails_for_a_moment_ends_the_run_instead_of_skipping_the_champion(model, monkeypatch):
    before = registry.pointer(NAMESPACE)

    def fail(content: Path | bytes) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(content))

    monkeypatch.setattr(files, "sha256", fail)
    with pytest.raises(OSError, match="Input/output error"):
        ask()
    (run,) = runs.every()
    assert run.record.status == "failed"
    assert run.record.error.endswith(
        "must be readable and writable, but: Input/output error. The disk or its connection fails: look into the "
        "system's log. Nothing is half-written: run it again."
    )
    assert registry.pointer(NAMESPACE) == before


def test_a_damaged_champion_is_judged_as_absent_and_the_run_says_so(model):
    (model / "model.onnx").write_bytes(b"other")
    found, run = ask()
    assert found is None
    assert [warning for warning in run.record.warnings if "judged as absent" in warning and "was changed" in warning]
