"""`make pictures`: the first screens of every kind of page, from seeded runs, at two widths, light and dark.

Runs are made in a home of their own (some minutes) and nothing of yours is read. All pictures go to outputs/pictures;
those that the documents show to docs/pictures too. Drift and dashboard are those of the world that a replay leaves: two
years of decisions, and what came of them.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bq.core import files, paths
from bq.core.log import configure, log, progress
from bq.jobs.drift import ALARM
from bq.runs.folder import WORLD
from bq.workbench import page, plots
from tests import devtools, pictured_lab
from tests.untidy import untidy

ROOT = Path(__file__).resolve().parents[1]
SIZES = {1280: 900, 390: 844}
# by the documents, at a scale that keeps the repository small
SHOWN = (
    "butterfly_1280_light",
    "scan_1280_light",
    "season_1280_light",
    "seasons_1280_light",
    "ab_1280_light",
    "drift_1280_light",
    "dashboard_1280_light",
    "tuning_1280_light",
    "lab_1280_light",
)
SCALE = 0.75
PLANTED = {"STRATEGY": "butterfly", "PARAMS": "parameters/simulated/butterfly.yaml"}
RISING = {"STRATEGY": "breakout", "PARAMS": "parameters/simulated/breakout.yaml"}
YEARS = {"FROM": "2017-06-01", "TO": "2019-05-31"}
SEASONS: dict[str, Mapping[str, str]] = {  # in which both tracks trade, by strategy
    "butterfly": {**PLANTED, **YEARS, "SET": "market.simulation.sessions=2800"},
    "breakout": {**RISING, **YEARS, "SET": "ml.enabled=true policy.k=1"},
    "forecast": {"STRATEGY": "forecast", "PARAMS": "parameters/simulated/forecast.yaml", **YEARS},
}
JOBS: list[tuple[str, Mapping[str, str]]] = [
    ("retrain", PLANTED),
    ("retrain", {"STRATEGY": "butterfly"}),
    ("retrain", {"STRATEGY": "forecast", "QUICK": "1"}),
    ("retrain", RISING),
    ("tune", {**RISING, "TRIALS": "40"}),
    ("scan", PLANTED),
    *(("replay", season) for season in SEASONS.values()),
]
LAST_DAY = {name: value for name, value in SEASONS["butterfly"].items() if name != "FROM"}  # its whole history
ON_THE_LAST_DAY = ("check-drift", "drift")
RUNS = len(JOBS) + 3 + len(ON_THE_LAST_DAY)
REPORTS = {  # name of a picture: end of a run's folder
    "planted": "_butterfly-simulated",
    "butterfly": "_butterfly",
    "forecast": "_forecast__quick",
    "breakout": "_breakout-simulated",
    "tuning": "_breakout-simulated__tune",
    "season": "_butterfly-simulated__replay",
    "ab": "_butterfly-simulated__ab",
}
# the heading that a picture begins with, where it is not the page's
BEGINS = {
    "drift": "Is the world still the one that the model was trained in?",
    "season": "What the tracks traded",
    "seasons": "What each track made",
    "ab": "The verdict",
}
TRACKS = ("by model", "by static rules")
TEXT = """(() => { const page = document.querySelector("main").cloneNode(true);
  page.querySelectorAll(".provenance, .figure, .log").forEach((part) => part.remove());
  page.querySelectorAll("td, th").forEach((cell) => cell.append(" ")); return page.textContent; })()"""
FROM_HEADING = """(() => { const headings = [...document.querySelectorAll("main h2, main h3")];
  let part = headings.find((one) => one.textContent === %s);
  for (; part.tagName !== "MAIN"; part = part.parentElement)
    for (let before = part.previousElementSibling; before; before = before.previousElementSibling)
      before.style.display = "none"; })()"""


class Shot(NamedTuple):
    """A page that is to be pictured."""

    name: str
    page: Path


def main() -> None:
    """Make the runs, then the pictures."""
    configure()
    if devtools.found() is None:
        sys.exit(f"pictures: Chromium must be installed, but none of {', '.join(devtools.BROWSERS)} is on the path.")
    with tempfile.TemporaryDirectory(prefix="bq-pictures-") as home:
        outputs = Path(home) / "outputs"
        for target, variables, where in progress(_runs(Path(home)), total=RUNS, description="runs"):
            _run(target, variables, where)
        _picture(list(_shots(outputs)))
        with pictured_lab.shown(Path(home), width=1280, height=1420) as browser:  # to the first figure
            _keep("lab_1280_light", browser)


def _runs(home: Path) -> Iterator[tuple[str, Mapping[str, str], Path]]:
    """Target, variables and home of every run, in their order: later ones show what earlier ones made."""
    yield from ((target, variables, home) for target, variables in JOBS)
    outputs = home / "outputs"
    yield "ab", {**PLANTED, "RUN": _ended(outputs, REPORTS["season"]).name}, home
    yield "explain", {**PLANTED, "EVENT": _traded(outputs)}, home
    yield "report", {"STRATEGY": "butterfly"}, home  # the index anew, with the pages since
    yield from ((target, LAST_DAY, _world(outputs)) for target in ON_THE_LAST_DAY)


def _run(target: str, variables: Mapping[str, str], home: Path) -> None:
    """One target; where it fails (an alarm is no failure) nothing more is made."""
    log.info("%s %s", target, " ".join(f"{name}={value}" for name, value in variables.items()))
    environment = {**os.environ, **variables, "BQ_HOME": str(home)}
    done = subprocess.run([sys.executable, "-m", "bq", target], cwd=ROOT, env=environment, capture_output=True)
    if done.returncode not in (0, ALARM):
        sys.exit(f"pictures: {target} must come to its end, but: {done.stderr.decode()[-2000:]}")


def _world(outputs: Path) -> Path:
    """Where the replayed season of the butterflies was decided, day by day."""
    return _ended(outputs, REPORTS["season"]) / WORLD


def _traded(outputs: Path) -> str:
    """The first event that the scan would trade."""
    scan = files.read_parquet(next((outputs / "scans").glob("*.parquet")))
    return str(scan.filter("should_trade")["event_id"][0])


def _ended(outputs: Path, end: str) -> Path:
    """The one run whose id ends so."""
    (folder,) = [path for path in outputs.iterdir() if not path.is_symlink() and path.name.endswith(end)]
    return folder


def _shots(outputs: Path) -> Iterator[Shot]:
    for name, end in REPORTS.items():
        yield Shot(name, _ended(outputs, end) / "report.html")
    yield Shot("seasons", _seasons(outputs))
    yield Shot("scan", next((outputs / "scans").glob("*.html")))
    yield Shot("explain", next((outputs / "explanations").glob("*.html")))
    yield Shot("index", outputs / "index.html")
    world = _world(outputs) / "outputs"
    yield Shot("drift", _ended(world, "__drift") / "report.html")
    yield Shot("dashboard", world / "index.html")


def _seasons(outputs: Path) -> Path:
    """A page with what both tracks of each strategy made, on the track's own capital."""
    frames = {}
    for strategy in SEASONS:
        folder = _ended(outputs, f"_{strategy}-simulated__replay")
        trading = files.read_json(folder / "run.json")["parameters"]["trading"]
        days = files.read_parquet(folder / "tracks.parquet")
        made = {
            role: days.filter(track=track["name"]).select(
                "session", (100 * pl.col("pnl").cum_sum() / (track["share"] * trading["capital"])).alias(role)
            )
            for role, track in zip(TRACKS, trading["tracks"], strict=True)
        }
        frames[f"{strategy}, %"] = made[TRACKS[0]].join(made[TRACKS[1]], on="session")
    figure = plots.panels(frames, "session", TRACKS, title="Sum of P&L, in percent of the track's capital", x_title="")
    target = outputs / "seasons.html"
    parts = [("What each track made", ["Markets are simulated, with a planted signal: no evidence about any.", figure])]
    page.write(target, title="Two years, three strategies", source="simulated", parts=parts)
    return target


def _picture(shots: list[Shot]) -> None:
    """Every page at both widths, light and dark. Raises AssertionError where one is too wide, or says `+nan`."""
    faults = []
    with devtools.Browser() as browser:
        for shot in progress(shots, total=len(shots), description="pictures"):
            for width, height in SIZES.items():
                for scheme in ("light", "dark"):
                    name = f"{shot.name}_{width}_{scheme}"
                    browser.open(shot.page, width=width, height=height, dark=scheme == "dark")
                    if unfit := untidy(browser.evaluate(TEXT)):
                        faults.append(f"{name}: these are no numbers for a reader: {unfit}")
                    if (wide := browser.evaluate("document.documentElement.scrollWidth")) > width:
                        faults.append(f"{name}: the page is {wide} px wide on a screen of {width}")
                    if shot.name in BEGINS:
                        browser.evaluate(FROM_HEADING % json.dumps(BEGINS[shot.name]))
                    _keep(name, browser)
    assert not faults, "\n".join(faults)


def _keep(name: str, browser: devtools.Browser) -> None:
    """Write what the window shows, and smaller what the documents show."""
    picture = browser.picture()
    files.write_bytes(paths.outputs() / "pictures" / f"{name}.png", picture)
    if name in SHOWN:
        files.write_bytes(ROOT / "docs" / "pictures" / f"{name}.png", browser.picture(scale=SCALE))
    log.info("%s.png %d KB", name, len(picture) // 1024)


if __name__ == "__main__":
    main()
