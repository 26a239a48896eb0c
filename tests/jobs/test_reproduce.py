"""A retrain made again from its record: identical, or the input that differs and what it changed."""

import polars as pl
import pytest

from bq import market, runs
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.jobs import reproduce, request, retrain
from bq.jobs.run.protocol import Run
from bq.market import prints
from bq.serving import candidate, ledger, registry
from bq.strategies import store
from bq.strategies.breakout import STRATEGY
from bq.strategies.events import Built

FILE = paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"
SMALL = (
    "market.simulation.symbols=10 market.simulation.sessions=1000 exit.max_holding_days=10 "
    "learning.folds=3 learning.newest_days=200 gate.draws=1000"
)


@pytest.fixture
def go(tmp_path, monkeypatch, capsys):
    """Run a job with the variables of the Makefile; what it printed. A retrain trains in this process."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.setenv("BQ_WORKERS", "1")

    def notebook(self: Run, name: str) -> None:
        if name == retrain.NOTEBOOKS[1]:
            built = Built(store.received(self.folder, "events"), store.received(self.folder, "refused"))
            made = store.finished(STRATEGY, self.settings, store.market_data(self.settings), built, 0)
            candidate.train(made.events, STRATEGY, self.settings, self.folder)

    monkeypatch.setattr(Run, "notebook", notebook)
    monkeypatch.setattr(Run, "render", lambda self: None)

    def run(main, **variables) -> str:
        for name in ("SET", "FORCE", "RUN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"STRATEGY": "breakout", **variables}.items():
            monkeypatch.setenv(name, str(value))
        capsys.readouterr()
        main(request.read())
        return capsys.readouterr().out

    return run


@pytest.fixture
def own_bars(tmp_path):
    """Files of bars as a user brings them, and a parameter file that reads them."""
    settings = params.load(FILE, STRATEGY.settings, overrides=SMALL)
    bars = market.load(settings.market).bars
    folder = tmp_path / "data" / "raw" / "bars"
    folder.mkdir(parents=True)
    for (symbol,), rows in bars.group_by("symbol"):
        rows.select("session", "open", "high", "low", "close", "volume").write_csv(folder / f"{symbol}.csv")
    content = settings.model_dump(mode="json")
    content["market"] |= {"source": "files", "simulation": None}
    file = tmp_path / "own.yaml"
    file.write_text(params.to_yaml(content))
    return file


def test_a_fresh_run_is_identical_and_nothing_of_the_home_is_touched(go, tmp_path):
    small = tmp_path / "small.yaml"
    small.write_text(params.to_yaml(params.load(FILE, STRATEGY.settings, overrides=SMALL).model_dump(mode="python")))
    go(retrain.main, PARAMS=small)
    before = (ledger.standing(), registry.namespaces(), len(runs.every()))
    told = go(reproduce.main, PARAMS=small)
    assert told.startswith("identical\n")
    assert before == (ledger.standing(), registry.namespaces(), len(runs.every()))
    again = go(retrain.main, PARAMS=small, FORCE=1)  # which is judged by two looks, the first by one
    assert again
    oldest = runs.every()[-1].folder.name
    assert go(reproduce.main, PARAMS=small, RUN=oldest).startswith("identical\n")


def test_a_revised_bar_is_named_with_what_it_changed(go, own_bars, tmp_path):
    go(retrain.main, PARAMS=own_bars)
    path = sorted((tmp_path / "data" / "raw" / "bars").glob("*.csv"))[3]
    rows = pl.read_csv(path)
    day = rows["session"][700]
    rows.with_columns(
        pl.when(pl.col("session") == day).then(pl.col(name) * 1.03).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    ).write_csv(path)
    told = go(reproduce.main, PARAMS=own_bars)
    assert told.startswith("not identical: data, events")
    assert f"data        1 bar: {path.stem} {day} revised" in told
    assert "code        the same" in told and "packages    the same" in told
    page = next((tmp_path / "outputs" / "reproductions").glob("*.html")).read_text()
    assert f"{path.stem} {day} revised" in page


def test_only_a_retrain_with_a_verdict_can_be_made_again(go):
    with pytest.raises(BadParameters, match="a run of breakout that did not fail must exist"):
        go(reproduce.main)


def test_a_bar_has_another_print_when_a_value_changes_and_only_then():
    settings = params.load(
        FILE, STRATEGY.settings, overrides="market.simulation.symbols=3 market.simulation.sessions=600"
    )
    bars = market.load(settings.market).bars
    here = pl.int_range(pl.len()) == 40
    before = prints.of_bars(bars)
    for name, value in {"close": 1.0, "volume": None, "quoted": None, "iv": 0.2}.items():
        changed = bars.with_columns(pl.when(here).then(pl.lit(value)).otherwise(pl.col(name)).alias(name))
        different = bars.filter(here)[name].ne_missing(changed.filter(here)[name])[0]
        found = prints.revised(before, prints.of_bars(changed))
        assert found.rows() == ([(*bars.filter(here).row(0)[:2], "revised")] if different else [])
    left = prints.revised(before, prints.of_bars(bars.filter(~here)))
    assert (
        left["how"].to_list() == ["gone"]
        and prints.revised(prints.of_bars(bars.filter(~here)), before)["how"][0] == "new"
    )
