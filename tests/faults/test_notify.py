"""NOTIFY_CMD hears of what happened, and whatever it does itself changes nothing."""

import json
import logging
import sys

import polars as pl
import pytest

from bq.core.log import log
from bq.jobs import scan
from bq.jobs.run import notify

SCRIPT = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("BQ_NOTIFY_")}
open(sys.argv[1], "w").write(json.dumps([told, sys.stdin.read()]))
"""
STUCK = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
HEADLINE = "failed: no $(touch pwned) `x`\nsecond line"


@pytest.fixture
def warnings(monkeypatch, caplog):
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.WARNING)
    return caplog


def send(tmp_path):
    notify.send("failed", run_id="20261121T001829Z_toy", headline=HEADLINE, report=tmp_path / "report.html")


def command(tmp_path, monkeypatch, code, *arguments):
    script = tmp_path / "a script.py"
    script.write_text(code)
    monkeypatch.setenv("NOTIFY_CMD", " ".join([sys.executable, f"'{script}'", *arguments]))


def test_a_command_hears_kind_run_headline_and_report(tmp_path, monkeypatch, warnings):
    command(tmp_path, monkeypatch, SCRIPT, f"'{tmp_path / 'heard'}'")
    send(tmp_path)
    told, text = json.loads((tmp_path / "heard").read_text())
    assert told == {
        "BQ_NOTIFY_EVENT": "failed",
        "BQ_NOTIFY_RUN": "20261121T001829Z_toy",
        "BQ_NOTIFY_HEADLINE": "failed: no $(touch pwned) `x` second line",
        "BQ_NOTIFY_REPORT": str(tmp_path / "report.html"),
    }
    assert text.count("\n") == 1 and "second line" in text and str(tmp_path / "report.html") in text
    assert not warnings.records


FAULTS = {
    "exit-code": ("import sys; sys.exit('no network')", "exited with 1 no network"),
    "stdin-unread": ("import os; os.close(0); raise SystemExit(3)", "exited with 3"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_command_that_fails_is_logged_and_nothing_more(tmp_path, monkeypatch, warnings, fault):
    code, said = FAULTS[fault]
    command(tmp_path, monkeypatch, code)
    send(tmp_path)
    assert said in warnings.text


@pytest.mark.parametrize("text", ["/nowhere/notify", "unclosed 'quote", "/tmp"], ids=["absent", "quote", "folder"])
def test_a_command_that_cannot_be_started_is_logged_and_nothing_more(tmp_path, monkeypatch, warnings, text):
    monkeypatch.setenv("NOTIFY_CMD", text)
    send(tmp_path)
    assert "NOTIFY_CMD: must run" in warnings.text


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path, monkeypatch, warnings):
    monkeypatch.setattr(notify, "TIMEOUT_SECONDS", 1)
    command(tmp_path, monkeypatch, STUCK)
    send(tmp_path)
    assert "did not end within 1 s" in warnings.text


def test_a_scan_of_events_unlike_those_trained_on_is_an_alert(tmp_path, monkeypatch):
    command(tmp_path, monkeypatch, SCRIPT, f"'{tmp_path / 'heard'}'")
    page = tmp_path / "2026-11-20_toy.html"
    scan._alert(pl.DataFrame({"outside_support": [["iv"]] * 3 + [[]] * 7}), page)
    assert not (tmp_path / "heard").exists(), "30% are no alert yet"
    scan._alert(pl.DataFrame({"outside_support": [["iv"]] * 4 + [[]] * 6}), page)
    told, _ = json.loads((tmp_path / "heard").read_text())
    assert told == {
        "BQ_NOTIFY_EVENT": "alert",
        "BQ_NOTIFY_RUN": "2026-11-20_toy",
        "BQ_NOTIFY_HEADLINE": "2026-11-20_toy: 40% of 10 events lie outside the model's training support",
        "BQ_NOTIFY_REPORT": str(page),
    }


def test_without_a_command_nothing_is_started(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_CMD", " ")
    monkeypatch.setattr(notify.subprocess, "Popen", None)
    send(tmp_path)
