"""What the verbs of `import bq` give back."""

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from polars.testing import assert_frame_equal
from traitlets.config import Config

import bq
from bq import surface
from bq.core import paths
from bq.core.errors import BadData, BadParameters
from bq.core.namespace import Namespace
from bq.serving import registry
from tests import stored


def test_a_champion_is_its_id_its_deployment_its_bundle_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    artefact = stored.artefact(card={"run_id": "r1"})
    registry.deploy(Namespace.parse("butterfly-simulated"), artefact, reason="better")
    found = bq.champion("butterfly-simulated")
    assert (found.model_id, found.reason) == (artefact.model_id, "better")
    assert found.bundle == artefact.bundle and found.card.run_id == "r1" and found.since_utc
    assert bq.champion("butterfly") is None


def test_a_parameter_file_of_the_checkout_is_found_from_the_folder_of_the_notebooks(tmp_path, monkeypatch):
    monkeypatch.chdir(paths.notebooks())
    assert bq.params("breakout", "parameters/simulated/breakout.yaml").market.is_simulated
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "butterfly.yaml").write_text("strategy: butterfly\nlearning: {folds: 3}\n")
    assert bq.params("butterfly", "parameters/butterfly.yaml").learning.folds == 3, "what is here goes first"


def test_a_mistake_in_a_notebook_is_one_sentence(tmp_path, capsys):
    config = Config(HistoryManager={"enabled": False})
    shell = InteractiveShell(config=config, ipython_dir=str(tmp_path))
    shell.run_cell("import bq\nbq.params('butterfly', overrides='learning.fold=4')")
    shown = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert shown == ["BadParameters: overrides: `learning.fold` is not a parameter; did you mean `learning.folds`?"]


def test_a_verb_that_was_stopped_is_one_sentence_and_the_next_cell_runs(tmp_path, monkeypatch, capsys):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(surface, "_trained", stopped)
    monkeypatch.setattr(surface, "_of", lambda *asked: (*asked, None))
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}), ipython_dir=str(tmp_path))
    shell.run_cell("import bq\nbq.train(None)")
    shown = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert shown == ["Interrupted: bq.train was stopped and gave nothing back; run the cell again."]
    assert shell.run_cell("6 * 7").result == 42


def test_a_backtest_of_another_strategy_is_refused():
    with pytest.raises(
        BadParameters, match="must have settings of a strategy with a backtester, but forecast has none"
    ):
        bq.backtest("forecast")


def test_every_verb_on_events_takes_them_in_any_order_and_none_twice():
    settings = bq.params("breakout", "parameters/simulated/breakout.yaml", folds=2)
    events = bq.events(settings).tail(60)
    shuffled = events.sample(fraction=1.0, shuffle=True, seed=2)
    assert_frame_equal(bq.score(shuffled, settings), bq.score(events, settings))
    twice = pl.concat([events, events.tail(1)])
    for verb in (bq.train, bq.train_success, bq.score, bq.cross_validate):
        with pytest.raises(BadData, match="event ids must be unique"):
            verb(twice, settings)
