"""Several processes record decisions at once: all are there, none twice, and one scan of a session counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from bq.core import db
from bq.monitoring.records import decisions, scans

CHILD = Path(__file__).with_name("writers_child.py")
ROOT = Path(__file__).parents[2]
FULL = bool(os.environ.get("BQ_FULL"))
WRITERS, SCANS, DECISIONS = (8, 100, 100) if FULL else (3, 4, 25)


@pytest.mark.calibration
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_every_decision_of_every_writer_is_there_once_and_one_scan_a_session_counts(
    engine, tmp_path, monkeypatch, request
):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    if engine == "postgresql":
        request.getfixturevalue("database")
    else:
        monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(CHILD)]
    started = [
        subprocess.Popen([*command, str(writer), str(SCANS), str(DECISIONS)], env=environment, cwd=ROOT)
        for writer in range(WRITERS)
    ]
    assert [one.wait() for one in started] == [0] * WRITERS
    with db.engine().connect() as connection:
        held = connection.execute(sa.select(decisions.c.event_id)).scalars().all()
        in_time = sa.select(scans.c.session, sa.func.count()).where(scans.c.late.is_(sa.false()))
        counting = dict(connection.execute(in_time.group_by(scans.c.session)).all())
    wanted = {f"{w}-{n}-{i}" for w in range(WRITERS) for n in range(SCANS) for i in range(DECISIONS)}
    assert len(held) == len(wanted) and set(held) == wanted
    assert len(counting) == SCANS and set(counting.values()) == {1}, "of the scans of a session one is in time"
