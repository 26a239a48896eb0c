"""A run as the workbench leaves it: an executed notebook with every figure, run.json, a verdict."""

import html
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from workbench_sample import CELLS, write_notebook

from bq.workbench import notebooks


@pytest.fixture(scope="session")
def executed(tmp_path_factory) -> Path:
    """The notebook above, executed once for all tests."""
    folder = tmp_path_factory.mktemp("run")
    source = write_notebook(folder / "02_walk_forward_training.ipynb", CELLS)
    output = folder / "executed" / source.name
    limits = {"cell_timeout_seconds": 120, "deadline_seconds": 300}
    notebooks.execute(source, output, parameters={"folds": 4}, run_dir=folder, **limits)
    return output


@pytest.fixture
def run() -> dict:
    """The content of a run.json of version 0.1, which a test changes."""
    return {
        "run_id": "20261121T001829Z_butterfly",
        "strategy": "butterfly",
        "job": "retrain",
        "status": "kept",
        "error": None,
        "started_utc": "2026-11-21T00:18:29Z",
        "finished_utc": "2026-11-21T00:19:10Z",
        "title": "butterfly · 9,152 events · 21 symbols · 2010-01 to 2018-12",
        "source": "modelled",
        "parameters": {
            "strategy": "butterfly",
            "learning": {"folds": 6, "model": "lightgbm"},
            "market": {"symbols": None},
        },
        "data_hash": "b1f09c22d1e04a77",
        "git": {"sha": "eb00e5d", "dirty": True},
        "packages": {"polars": "2.1.0", "lightgbm": "4.7.0"},
        "seed": 7,
        "phases": [
            {"name": "events", "seconds": 12.3, "peak_rss_mib": 640},
            {"name": "training", "seconds": 28.7, "peak_rss_mib": 1120},
        ],
        "warnings": [
            "AMD: 3 rows quarantined (2 with high < low, 1 duplicate)",
            "fold 2 has 188 events, fewer than 200",
        ],
        "changes": ["learning.folds: 5 → 6", "data: 212 new events since 2018-09-28"],
        "downloads": [{"label": "trades (CSV)", "file": "trades.csv"}],
    }


@pytest.fixture
def verdict() -> dict:
    """A verdict as the gate gives it."""
    return {
        "decision": "kept",
        "headline": "Champion b1f09c22 stays: evidence for the recipe is inconclusive.",
        "reasons": [
            "Top-5 net ROI a day is +0.4 % [−0.6, +1.3] against the rule score: the lower bound must exceed 0.",
            "23 blocks of 1.5 holding times; 20 are needed.",
        ],
        "needed": ["About 14 more months of events, or +0.2 % a day", "Quotes instead of modelled option prices"],
        "components": [
            {
                "name": "Recipe",
                "holds": None,
                "statement": "uplift +0.4 % [−0.6, +1.3] a day, must exceed 0 %",
                "needed": "14 more months",
            },
            {
                "name": "Artefact",
                "holds": True,
                "statement": "−0.1 % [−0.5, +0.3] against the champion, margin −0.5 %",
                "needed": "",
            },
            {
                "name": "Calibration",
                "holds": True,
                "statement": "expected error 0.04, must be at most 0.10",
                "needed": "",
            },
            {
                "name": "Drawdown",
                "holds": False,
                "statement": "−21 %, must be no worse than −20 %",
                "needed": "1 point",
            },
        ],
        "table": {
            "columns": [
                "",
                "net ROI a day [%]",
                "hit rate",
                "drawdown [%]",
                "accuracy",
                "log-loss",
                "events",
                "blocks",
            ],
            "rows": [
                ["challenger", "+0.4 [−0.6, +1.3]", "0.46", "−21", "0.46", "1.12", "9,152", "23"],
                ["champion b1f0", "+0.3 [−0.7, +1.2]", "0.45", "−19", "0.46", "1.13", "9,152", "23"],
                ["rule score", "−0.2 [−1.0, +0.5]", "0.41", "−26", "–", "–", "9,152", "23"],
                ["largest class", "–", "–", "–", "0.44", "1.16", "9,152", "–"],
            ],
            "note": "95 % intervals, paired stationary bootstrap by session, 10,000 draws; out of sample.",
        },
    }


FRAME = """<body><iframe src="{page}" style="width:{width}px;height:12000px"></iframe><pre></pre><script>
addEventListener("load", () => setTimeout(() => {{
  const inside = document.querySelector("iframe").contentDocument;
  const holders = [...inside.querySelectorAll("[data-figure]")];
  document.querySelector("pre").textContent = JSON.stringify({{
    title: inside.title,
    drawn: holders.filter((holder) => holder.querySelector(".main-svg")).length,
    undrawn: holders.filter((holder) => !holder.querySelector(".main-svg")).map((holder) => holder.textContent),
    width: inside.documentElement.scrollWidth,
    text: inside.querySelector("main").innerText,
  }});
}}, 9000));
</script>"""


@pytest.fixture(scope="session")
def browse(tmp_path_factory):
    """A function that opens a page in headless Chromium at a width and tells what is there.

    The page lies in a frame of that width: Chromium's own window is never narrower than 500 px.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium on this machine: whether figures are drawn cannot be seen")

    def look(page: Path, *, width: int) -> dict:
        folder = tmp_path_factory.mktemp("browser")
        frame = folder / "frame.html"
        frame.write_text(FRAME.format(page=page.as_uri(), width=width))
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        flags += ["--allow-file-access-from-files", f"--user-data-dir={folder}", "--virtual-time-budget=20000"]
        command = [browser, *flags, f"--window-size={max(width, 500)},900", "--dump-dom", frame.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
        return json.loads(html.unescape(done.stdout.split("<pre>")[1].split("</pre>")[0]))

    return look
