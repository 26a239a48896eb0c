"""`make audit`, and what it means for a champion."""

import re

import polars as pl
import pytest

from bq import market, surface
from bq.audit import sound_features
from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.jobs import attempt, audit, permuted, request
from bq.jobs.attempt import Attempt
from bq.runs.verdict import Loosened
from bq.serving import gates, verdict_text
from bq.serving.gates import Verdict
from bq.strategies import registered, store
from bq.strategies.component import Component, Kind

SMALL = "market.simulation.symbols=8 market.simulation.sessions=1500 learning.model=elastic_net learning.compare=[]"
FILE = """
import bq
import polars as pl

bq.features.register("honest", pl.col("close") / pl.col("close").shift(3) - 1)
bq.features.register("ahead", pl.col("close").shift(-1) / pl.col("close") - 1)
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """A request as the Makefile makes it, in a home with two features of the user's own."""
    for name in ("PARAMS", "SET", "FORCE", "QUICK", "PERMUTE", "BQ_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.setattr(registered, "_by_hand", {})
    paths.raw_features().mkdir(parents=True)
    (paths.raw_features() / "mine.py").write_text(FILE)

    def made(features, more="learning.folds=2", **variables):
        monkeypatch.setenv("STRATEGY", "breakout")
        monkeypatch.setenv("PARAMS", str(paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"))
        monkeypatch.setenv("SET", f"{SMALL} {more} learning.features={features}")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return request.read()

    return made


def shown(capsys):
    return capsys.readouterr().out


def test_each_feature_has_a_line_and_the_accused_one_comes_first(ask, capsys):
    audit.main(ask("[breakout_v1,mine.*]", QUICK="1"))
    said = shown(capsys)
    assert "1 feature accused: mine.ahead. A retrain keeps the champion" in said
    assert "mine.ahead: LEAKS: changes when later bars are taken away" in said
    assert max(len(line) for line in said.splitlines() if line.startswith("mine.honest")) < 120
    assert len(said.splitlines()) <= 30
    (table,) = (paths.outputs() / "audits").glob("*.csv")
    rows = files.read_csv(table)
    assert rows["feature"][0] == "mine.ahead" and len(rows) == 20
    assert rows.filter(pl.col("feature") == "mine.honest")["verdict"].item() == "clean"
    page = table.with_suffix(".html").read_text()
    assert "Which features are accused" in page and "this market is simulated" in page


def test_permuted_bars_give_a_p_value_and_a_second_call_goes_on(ask, capsys):
    audit.main(ask("[breakout_v1]", QUICK="1", PERMUTE="1"))
    found = re.search(r"uplift .* on 1 order of their days .* p = ([\d.]+) \(at least 0\.500\)", shown(capsys))
    assert found and found[1] in ("0.500", "1.000")
    (kept,) = (paths.outputs() / "audits").glob("*_permuted.csv")
    first = files.read_csv(kept)
    audit.main(ask("[breakout_v1]", QUICK="1", PERMUTE="2"))
    second = files.read_csv(kept)
    assert second.head(2).equals(first) and second["order"].to_list() == [0, 1, 2]
    found = permuted._read(kept, "another key")
    assert found == {}


@pytest.mark.parametrize("given", ["-1", "many", "1.5"])
def test_permute_is_a_whole_number(ask, given):
    with pytest.raises(BadParameters, match="PERMUTE must be a whole number"):
        ask("breakout_v1", PERMUTE=given)


@pytest.mark.parametrize(
    ("features", "accused"),
    [("[breakout_v1,mine.honest]", {}), ("[breakout_v1,mine.*]", {"mine.ahead": ["later_bars", "served"]})],
    ids=["honest", "leaking"],
)
def test_a_feature_that_is_accused_keeps_the_champion(ask, features, accused):
    asked = ask(features)
    data = market.load(asked.settings.market)
    events = store.collect(asked.strategy, asked.settings, data).events
    made = surface.candidate(events, asked.settings)
    verdict = attempt.judge(Attempt(made, events, data, asked.strategy, asked.settings, "asked")).ours
    component = verdict.part(Kind.LEAKS)
    assert component.holds is (not accused) and component.more["accused"] == accused
    assert verdict.part(Kind.OWN_FILES).holds and (component in verdict.failed) is bool(accused)
    assert verdict.deploy is all(part.holds for part in verdict.components)


def test_a_verdict_deploys_only_where_all_that_is_added_holds_too():
    sound = Component.asked(Kind.PARITY, True)
    deployed = Verdict(True, gates.Tier.CHAMPION, [sound])
    assert deployed.also([Component.asked(Kind.LEAKS, True)]).deploy
    loose = deployed._replace(loosened=[Loosened(parameter="gate.alpha", value=0.49, floor=0.1)])
    assert loose.also([Component.asked(Kind.LEAKS, False)]).loosened == loose.loosened, "still said in red"
    leaking = deployed.also([Component.asked(Kind.LEAKS, False)])
    assert not leaking.deploy and leaking.components[0].kind == Kind.LEAKS
    assert not Verdict(False, gates.Tier.CHAMPION, [Component.asked(Kind.NET, False)]).also([sound]).deploy


def test_a_model_without_own_features_is_not_asked_for_their_files(ask):
    asked = ask("breakout_v1")
    data = market.load(asked.settings.market)
    events = store.collect(asked.strategy, asked.settings, data).events
    bundle = surface.candidate(events, asked.settings).artefact.bundle
    found = sound_features.components(bundle, events, data, asked.strategy, asked.settings)
    assert [component.kind for component in found] == [Kind.LEAKS] and found[0].holds
    assert "18 features" in verdict_text.part(found[0]).statement
