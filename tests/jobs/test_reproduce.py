"""A retrain made again from its record: identical, or the input that differs and what it changed."""

import os
from pathlib import Path

import polars as pl
import pytest
from replayed import SMALL

from bq import market, runs, strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.core.settings import Settings
from bq.jobs import reproduce, request, retrain
from bq.jobs.run.protocol import Run
from bq.market import prints
from bq.serving import candidate, ledger, registry
from bq.strategies import store
from bq.strategies.events import Built


def small(name: str) -> Settings:
    """A planted market of a strategy, as small as it can be trained on."""
    file = paths.CHECKOUT / "parameters" / "simulated" / f"{name}.yaml"
    return params.load(file, strategies.get(name).settings, overrides=SMALL[name][0])


@pytest.fixture
def go(tmp_path, monkeypatch, capsys):
    """Run a job with the variables of the Makefile; what it printed. A retrain trains in this process."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))

    def notebook(self: Run, name: str) -> None:
        if name == retrain.NOTEBOOKS[1]:
            strategy = strategies.of(self.settings)
            built = Built(store.received(self.folder, "events"), store.received(self.folder, "refused"))
            made = store.finished(strategy, self.settings, store.market_data(self.settings), built, 0)
            candidate.train(made.events, strategy, self.settings, self.folder)

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


def own_bars(home: Path, name: str) -> Path:
    """Files of bars as a user brings them; the parameter file that reads them."""
    settings = small(name)
    folder = home / "data" / "raw" / "bars"
    folder.mkdir(parents=True)
    for (symbol,), rows in market.load(settings.market).bars.group_by("symbol"):
        known = [column for column in ("open", "high", "low", "close", "volume") if rows[column].count()]
        rows.select("session", *known).write_csv(folder / f"{symbol}.csv")
    content = settings.model_dump(mode="python")
    content["market"] |= {"source": "files", "simulation": None}
    file = home / "own.yaml"
    file.write_text(params.to_yaml(content))
    return file


@pytest.mark.calibration
@pytest.mark.parametrize("name", SMALL)
def test_a_fresh_run_is_identical_and_a_revised_bar_is_named_with_what_it_changed(name, go, tmp_path):
    if name != "breakout" and not os.environ.get("BQ_FULL"):
        pytest.skip("breakout is tried; BQ_FULL=1 tries every strategy")
    of = {"STRATEGY": name, "PARAMS": own_bars(tmp_path, name)}
    go(retrain.main, **of)
    before = (ledger.standing(), registry.namespaces(), len(runs.every()))
    assert go(reproduce.main, **of).startswith("identical\n")
    assert before == (ledger.standing(), registry.namespaces(), len(runs.every()))  # nothing of the home is touched

    path = sorted((tmp_path / "data" / "raw" / "bars").glob("*.csv"))[3]
    rows = pl.read_csv(path)
    day = rows["session"][700]
    rows.with_columns(
        pl.when(pl.col("session") == day).then(pl.col(column) * 1.03).otherwise(pl.col(column)).alias(column)
        for column in ("open", "high", "low", "close")
        if column in rows.columns
    ).write_csv(path)
    told = go(reproduce.main, **of)
    assert told.startswith("not identical: data, events")
    assert f"data        1 bar: {path.stem} {day} revised" in told
    assert "code        the same" in told and "packages    the same" in told
    page = next((tmp_path / "outputs" / "reproductions").glob("*.html")).read_text()
    assert f"{path.stem} {day} revised" in page


def test_a_run_is_made_again_with_the_ledger_as_it_then_stood(go, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(params.to_yaml(small("forecast").model_dump(mode="python")))
    of = {"STRATEGY": "forecast", "PARAMS": file}
    go(retrain.main, **of)
    assert go(retrain.main, **of, FORCE=1)  # which is judged by two looks, the first by one
    oldest = runs.every()[-1].folder.name
    assert go(reproduce.main, **of, RUN=oldest).startswith("identical\n")


def test_only_a_retrain_with_a_verdict_can_be_made_again(go):
    with pytest.raises(BadParameters, match="a run of breakout that did not fail must exist"):
        go(reproduce.main)


def test_a_bar_has_another_print_when_a_value_changes_and_only_then():
    bars = market.load(small("breakout").market).bars.filter(pl.col("symbol").is_in(["SIM00", "SIM01", "SIM02"]))
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
