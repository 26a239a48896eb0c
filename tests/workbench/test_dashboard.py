import json

import pytest
from workbench_sample import CANARY

from bq.workbench import dashboard


@pytest.fixture
def outputs(tmp_path, run):
    """Three runs, one of them unreadable, one under way, and the link to the newest."""
    for stamp, changes in {
        "20261120T000000Z": {"status": "deployed", "source": "real", "title": "older run"},
        "20261121T000000Z": {"status": "failed", "error": CANARY, "title": "newer run"},
    }.items():
        folder = tmp_path / f"{stamp}_butterfly"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(run | changes))
    (folder / "report.html").write_text("")
    for name, content in {"20261119T000000Z_x": "{", "20261118T000000Z_x": "[]", ".20261122T000000Z_x": "{}"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    (tmp_path / "latest").symlink_to(folder)
    return tmp_path


def test_runs_are_listed_newest_first_and_unreadable_ones_as_such(outputs):
    dashboard.write_index(outputs, [])
    page = (outputs / "index.html").read_text()
    assert page.index("newer run") < page.index("older run") < page.index("20261119T000000Z_x")
    assert page.count("<tr><td>") == 4
    assert page.count(">unreadable<") == 2
    assert "20261122" not in page
    assert 'href="20261121T000000Z_butterfly/report.html"' in page
    assert page.count("report.html") == 1


def test_the_index_says_which_runs_are_no_evidence_and_keeps_text_as_text(outputs):
    dashboard.write_index(outputs, [])
    page = (outputs / "index.html").read_text()
    assert page.count("Not evidence about the market: option prices are modelled.") == 1
    assert "<script" not in page
    assert "&lt;/script&gt;" in page


def test_champions_come_first(outputs):
    champion = {
        "strategy": "butterfly",
        "model_id": "b1f09c22",
        "since": "2026-11-20T00:00:00Z",
        "reason": "+0.4 % a day",
    }
    dashboard.write_index(outputs, [champion])
    page = (outputs / "index.html").read_text()
    assert page.index("b1f09c22") < page.index("newer run")
    assert "2026-11-20 00:00 UTC" in page


def test_an_empty_home_says_what_to_do(tmp_path):
    dashboard.write_index(tmp_path, [])
    page = (tmp_path / "index.html").read_text()
    assert "make retrain" in page
    assert "no champion yet" in page
