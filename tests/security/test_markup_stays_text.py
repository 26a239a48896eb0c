"""A symbol, a file name or an error that is markup stays text: looked at in a browser, where one is found."""

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import nbformat
import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest

from bq.core.namespace import Namespace
from bq.monitoring.kept import Distances
from bq.runs import read
from bq.runs.record import Trigger
from bq.runs.schedule import Schedule
from bq.runs.verdict import Verdict
from bq.serving.model_records import Pointer
from bq.workbench import dashboard, report
from bq.workbench import page as pages
from bq.workbench.standing import Deployed, Standing
from bq.workbench.table import table
from bq.workbench.told import Reading
from tests.stored import run_record

MARK = "document.documentElement.dataset.pwned=1"
ATTACKS = [
    f"<script>{MARK}</script>",
    f"<img src=x onerror='{MARK}'>",
    f"</script><script>{MARK}</script>",
    f"<svg/onload={MARK}>",
    f'<a href="javascript:{MARK}" id=x>x</a><iframe srcdoc="<script>parent.{MARK}</script>"></iframe>',
    f'"><script>{MARK}</script>',
    "{{ 91 * 191919 }}",
]
SYMBOL = "".join(ATTACKS)


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """A function that opens a page in headless Chromium and returns its document after its scripts have run."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if not browser:
        pytest.skip("no Chromium on this machine: whether a page runs what it should not cannot be seen")

    def look(page: Path) -> str:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        flags += [f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "--virtual-time-budget=6000"]
        command = [browser, *flags, "--dump-dom", page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout

    return look


def ran(document: str) -> bool:
    return "data-pwned" in document.split("<head>")[0]


def figure() -> dict:
    """Everything in a figure that is text."""
    bar = go.Bar(
        x=[SYMBOL], y=[1], name=SYMBOL, text=[SYMBOL], hovertext=[SYMBOL], hovertemplate=SYMBOL, customdata=[SYMBOL]
    )
    made = go.Figure([bar, go.Pie(labels=[SYMBOL], values=[1])])
    made.update_layout(title=SYMBOL, xaxis_title=SYMBOL, legend_title=SYMBOL, annotations=[{"text": SYMBOL}])
    return json.loads(made.to_json())


def cell(**data):
    mimes = {name.replace("_", "/"): value for name, value in data.items()}
    return nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", data=mimes)])


@pytest.fixture
def page(tmp_path):
    """A report in which every text is an attack."""
    frame = pd.DataFrame({SYMBOL: [SYMBOL]}, index=[SYMBOL])
    styled = frame.style.set_caption(SYMBOL).format(lambda text: f"<b>{text}</b>").to_html()
    failed = nbformat.v4.new_output("error", ename=SYMBOL, evalue=SYMBOL, traceback=[SYMBOL])
    cells = [
        nbformat.v4.new_markdown_cell(f"# {SYMBOL}\n\n{SYMBOL}\n\n[x](javascript:{MARK})"),
        cell(text_html=styled),
        cell(text_html=frame.to_html()),
        cell(text_html=pl.DataFrame({"symbol": [SYMBOL]})._repr_html_()),
        cell(text_html=table(pl.DataFrame({SYMBOL: [SYMBOL]}))._repr_html_()),
        cell(text_html=Reading(SYMBOL)._repr_html_()),
        cell(text_html=f"<p title={SYMBOL!r} style=\"background:url('javascript:{MARK}')\">{SYMBOL}</p>"),
        cell(text_markdown=SYMBOL),
        cell(text_latex=SYMBOL),
        cell(**{"image_svg+xml": f"<svg onload='{MARK}'><script>{MARK}</script></svg>"}),
        cell(application_javascript=MARK),
        nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", data={report.PLOTLY: figure()})]),
        nbformat.v4.new_code_cell(SYMBOL, outputs=[failed]),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_x.ipynb")
    texts = ("run_id", "namespace", "title", "error", "headline", "source", "data_hash")
    lines = [{"action": SYMBOL, "symbol": SYMBOL, "rule": SYMBOL, "times": 1, "cases": [SYMBOL]}]
    run = dict.fromkeys(texts, SYMBOL) | {
        "status": "failed",
        "warnings": [SYMBOL],
        "changes": [SYMBOL],
        "downloads": [{"label": SYMBOL, "file": f"javascript:{MARK}"}],
        "parameters": {SYMBOL: SYMBOL},
        "packages": {SYMBOL: SYMBOL},
        "git": {"sha": SYMBOL, "dirty": True},
        "findings": {"read": 1, "kept": 0, "lines": lines, "more": 0},
    }
    part = {"name": SYMBOL, "holds": None, "statement": SYMBOL, "needed": SYMBOL}
    verdict = {"decision": "kept", "headline": SYMBOL, "reasons": [SYMBOL], "needed": [SYMBOL], "components": [part]}
    verdict |= {"second_tier": [SYMBOL], "table": {"columns": [SYMBOL], "rows": [[SYMBOL]], "note": SYMBOL}}
    whole = run_record(**run), Verdict.model_validate(verdict)
    report.render([tmp_path / "01_x.ipynb"], tmp_path / "report.html", run=whole[0], verdict=whole[1])
    return tmp_path / "report.html"


def test_the_browser_would_show_an_attack_that_works(tmp_path, browse):
    for number, attack in enumerate(ATTACKS[:2]):
        (tmp_path / f"{number}.html").write_text(f"<!doctype html><html><head></head><body>{attack}</body></html>")
        assert ran(browse(tmp_path / f"{number}.html"))


def test_nothing_in_a_report_runs_that_came_with_its_content(page, browse):
    document = browse(page)
    assert not ran(document)
    assert "main-svg" in document  # the page's own script did run and drew the figure
    assert "17464629" not in document  # no template in a symbol was filled in


def test_nothing_in_the_index_runs_that_came_with_a_run(tmp_path, browse, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    outputs, texts = tmp_path / "outputs", ("namespace", "title", "source", "headline")
    for second, changes in enumerate(({}, {"status": SYMBOL, "job": SYMBOL})):  # one that is whole, and one that is not
        folder = outputs / f"20260101T00000{second}Z_{SYMBOL.split('/')[0]}"  # no slash in a file's name
        folder.mkdir(parents=True)
        (folder / "report.html").write_text("")
        whole = run_record(**dict.fromkeys(texts, SYMBOL)).plain()
        (folder / "run.json").write_text(json.dumps(whole | changes))
    champion = Pointer.model_construct(model_id=SYMBOL, previous=None, since_utc=dt.datetime(2026, 1, 1), reason=SYMBOL)
    trigger = Trigger.model_construct(kind=SYMBOL, holds=True, value=None, threshold=None, text=SYMBOL)
    standing = Standing(
        Namespace("butterfly", SYMBOL),
        dt.datetime(2026, 1, 1),
        Schedule(None, None),
        SYMBOL,
        Deployed(champion, dt.date(2026, 1, 1), SYMBOL, None),
        silent=SYMBOL,
        fault=SYMBOL,
        distances=Distances.model_construct(at_utc=dt.datetime(2026, 1, 1), triggers=[trigger]),
    )
    dashboard.write_index([standing], {}, read.each())
    document = browse(outputs / "index.html")
    assert not ran(document)
    assert "data-pwned" not in document and "pwned=1" in document  # there, as text


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_page_of_text_and_tables_escapes_it(tmp_path, attack):
    parts = [(attack, [attack, table(pl.DataFrame({"symbol": [attack]}))])]
    pages.write(tmp_path / "page.html", title=attack, source="real", parts=parts)
    text = (tmp_path / "page.html").read_text().replace("<script>alert", "")
    for harmful in (f"<script>{MARK}", "<img src=x onerror", "<svg/onload", "<iframe", '<a href="javascript:'):
        assert harmful not in text
