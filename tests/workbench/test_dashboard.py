import base64
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest
from workbench_sample import CANARY

from bq.core.namespace import Namespace, Tier
from bq.runs import read
from bq.runs.schedule import Schedule
from bq.serving.model_records import Pointer
from bq.serving.registry import Decider
from bq.workbench import dashboard
from bq.workbench.standing import Deployed, Standing

FIGURE = {"name": "net", "value": 0.125, "low": 0.05, "high": 0.2, "baseline": -0.25, "baseline_is": "rule score"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def outputs(home, run):
    """Two runs and two that cannot be read, one under way, and the link to the newest."""
    outputs = home / "outputs"
    for stamp, changes in {
        "20261120T000000Z": {"status": "deployed", "source": "real", "title": "older run"},
        "20261121T000000Z": {"status": "failed", "error": CANARY, "title": "newer run"},
    }.items():
        folder = outputs / f"{stamp}_butterfly"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(run | changes))
    (folder / "report.html").write_text("")
    for name, content in {"20261119T000000Z_x": "{", "20261118T000000Z_x": "[]", ".20261122T000000Z_x": "{}"}.items():
        (outputs / name).mkdir()
        (outputs / name / "run.json").write_text(content)
    (outputs / "latest").symlink_to(folder)
    return outputs


def test_runs_are_listed_newest_first_and_unreadable_ones_as_such(outputs):
    dashboard.write_index([], {}, read.each())
    page = (outputs / "index.html").read_text()
    assert page.index("newer run") < page.index("older run") < page.index("20261119T000000Z_x")
    assert page.count("<tr><td>") == 4
    assert page.count(">unreadable<") == 2
    assert "20261122" not in page
    assert 'href="20261121T000000Z_butterfly/report.html"' in page
    assert page.count("report.html") == 1


def test_the_index_says_which_runs_are_no_evidence_and_keeps_text_as_text(outputs):
    dashboard.write_index([], {}, read.each())
    page = (outputs / "index.html").read_text()
    assert page.count("Not evidence about the market: option prices are modelled.") == 1
    assert page.count("<script") == 1 and "alert(1)" not in re.search("<script>(.*?)</script>", page, re.S)[1]
    assert "&lt;/script&gt;" in page


def test_the_documentation_is_linked_where_it_is_built(outputs):
    link = '<a href="docs/index.html">documentation</a>'
    dashboard.write_index([], {}, read.each())
    assert link not in (outputs / "index.html").read_text()
    (outputs / "docs").mkdir()
    (outputs / "docs" / "index.html").write_text("")
    dashboard.write_index([], {}, read.each())
    assert link in (outputs / "index.html").read_text()


def test_a_figure_without_an_interval_says_so_once(outputs, verdict):
    bare = {"name": "net", "value": 0.475, "baseline": 0.307, "baseline_is": "rule score"}
    folder = outputs / "20261120T000000Z_butterfly"
    (folder / "verdict.json").write_text(json.dumps(verdict | {"figure": bare, "schema_version": 2}))
    dashboard.write_index([], {}, read.each())
    assert "net: +0.475 [no interval], rule score +0.307" in (outputs / "index.html").read_text()


def test_who_decides_comes_before_the_runs(outputs):
    now = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
    since = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    champion = Pointer(model_id="b1f09c22b1f09c22", previous=None, since_utc=since, reason="+0.4 % a day")
    deployed = Deployed(champion, dt.date(2026, 11, 19), "modelled", None)
    decider = Decider(Tier.CHAMPION, champion.model_id)
    standing = Standing(Namespace("butterfly"), now, Schedule(now, None), decider, deployed)
    dashboard.write_index([standing], {}, read.each())
    page = (outputs / "index.html").read_text()
    assert page.index("champion b1f09c22") < page.index("newer run")
    assert "since 2026-11-20 (9 days), trained on outcomes to 2026-11-19 (10 days ago)" in page


def test_a_verdict_is_read_once_and_again_when_it_changed(outputs, verdict, monkeypatch):
    folder = outputs / "20261120T000000Z_butterfly"
    (folder / "verdict.json").write_text(json.dumps(verdict | {"figure": FIGURE, "schema_version": 2}))
    dashboard.write_index([], {}, read.each())
    with monkeypatch.context() as patch:
        patch.setattr(read.Run, "verdict", property(lambda run: pytest.fail("it was read already")))
        dashboard.write_index([], {}, read.each())
    assert "net: +0.125 [+0.050, +0.200], rule score -0.250" in (outputs / "index.html").read_text()
    (folder / "verdict.json").write_text(json.dumps(verdict | {"figure": FIGURE | {"value": 0.5}, "schema_version": 2}))
    dashboard.write_index([], {}, read.each())
    assert "net: +0.500 [" in (outputs / "index.html").read_text()


def test_a_damaged_list_of_verdicts_is_made_again(outputs, verdict):
    folder, kept = outputs / "20261120T000000Z_butterfly", outputs.parent / "data" / "dashboard" / "runs.json"
    (folder / "verdict.json").write_text(json.dumps(verdict | {"figure": FIGURE, "schema_version": 2}))
    dashboard.write_index([], {}, read.each())
    whole = kept.read_text()
    for damage in ("{", "[]", '{"runs": {"x": 1}}'):
        kept.write_text(damage)
        dashboard.write_index([], {}, read.each())
        assert kept.read_text() == whole
    assert "net: +0.125" in (outputs / "index.html").read_text()


def test_an_empty_home_says_what_to_do(home):
    dashboard.write_index([], {}, read.each())
    page = (home / "outputs" / "index.html").read_text()
    assert "make retrain" in page
    assert (
        'class="term" popovertarget="term-champion"' in page
        and '<div popover class="meaning" id="term-champion">' in page
    )


def test_the_one_script_of_the_index_is_the_one_that_its_policy_allows(outputs):
    dashboard.write_index([], {}, read.each())
    page = (outputs / "index.html").read_text()
    script = re.search("<script>(.*?)</script>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page


def test_a_filter_in_the_address_leaves_the_lines_that_hold_its_words(outputs):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("no Chromium on this machine: whether the filter works cannot be seen")
    dashboard.write_index([], {}, read.each())
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    address = (outputs / "index.html").as_uri() + "#newer%20run"
    done = subprocess.run([browser, *flags, address], capture_output=True, text=True, timeout=60, check=True)
    assert "1 of 4 runs" in done.stdout
    lines = re.findall(r"<tr( hidden=\"\")?><td>", done.stdout)
    assert len(lines) == 4 and lines.count("") == 1


STATES = {
    "deployed": ({"status": "deployed"}, "deployed", "green"),
    "kept": ({"status": "kept"}, "kept", "blue"),
    "failed": ({"status": "failed", "error": "BadData: x"}, "failed", "red"),
    "cancelled": ({"status": "cancelled", "error": "stopped"}, "cancelled", "amber"),
    "rejected": ({"status": "done", "job": "tune"}, "rejected", "amber"),
    "passed": ({"status": "done", "job": "tune"}, "passed", "green"),
    "quick look": ({"status": "done"}, "quick look", "grey"),
    "done": ({"status": "done", "job": "explore"}, "done", "grey"),
}


@pytest.mark.parametrize("name", STATES)
def test_what_became_of_a_run_is_told_apart(home, run, verdict, name):
    changes, shown, colour = STATES[name]
    folder = home / "outputs" / "20261120T000000Z_butterfly"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run | changes))
    if name in ("rejected", "passed", "quick look"):
        (folder / "verdict.json").write_text(json.dumps(verdict | {"decision": name}))
    dashboard.write_index([], {}, read.each())
    assert f'<span class="pill {colour}">{shown}</span>' in (home / "outputs" / "index.html").read_text()


def test_a_run_that_was_rolled_back_says_so_and_looks_like_it(outputs):
    at = dt.datetime(2026, 11, 22, 8, 5, tzinfo=dt.UTC)
    dashboard.write_index([], {"20261120T000000Z_butterfly": at}, read.each())
    page = (outputs / "index.html").read_text()
    assert '<span class="pill amber">deployed then, rolled back 2026-11-22 08:05 UTC</span>' in page


def test_scans_explanations_and_diffs_are_linked_by_their_titles_newest_first(outputs):
    for place, (folder, title) in enumerate(
        [("scans", "older &lt;b&gt;"), ("scans", "newer"), ("explanations", "an event"), ("diffs", "two runs")]
    ):
        page = outputs / folder / f"{place}.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text(f"<html><head><title>{title}</title></head></html>")
        os.utime(page, (place, place))
    dashboard.write_index([], {}, read.each())
    page = (outputs / "index.html").read_text()
    assert page.index('<a href="scans/1.html">newer</a>') < page.index('<a href="scans/0.html">older &lt;b&gt;</a>')
    assert '<a href="explanations/2.html">an event</a>' in page and '<a href="diffs/3.html">two runs</a>' in page
