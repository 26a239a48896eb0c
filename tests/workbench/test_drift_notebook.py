"""Notebook 04 on a season whose law changes on a known day, on one where nothing does, and where there is nothing."""

import ast
import json

import plotly.graph_objects as go
import polars as pl
import pytest

import bq
from bq.core import paths
from bq.core.numerals import with_sign
from bq.monitoring import drift, observed
from bq.serving import registry
from bq.surface import params
from bq.workbench import monitors, reading
from bq.workbench.tell import monitoring
from bq.workbench.told import Reading, Told
from tests.season import HELD, days, model, record, season, subject

TRAINED, CHANGES = 500, 650  # sessions of the reference, and after which the law, or the events, are others
OVERRIDES = "gate.draws=1000 policy.k=3"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def told(monkeypatch, events: pl.DataFrame | None) -> dict[str, Told]:
    """What the notebook's cells show, by their source, with the decisions of the home and a planted strategy."""
    strategy = subject().strategy
    settings = params("butterfly", str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml"), OVERRIDES)
    monkeypatch.setattr(drift.store, "on", lambda *given: pl.DataFrame() if events is None else events)
    seen = observed.of(strategy, settings)._replace(events=events)
    monkeypatch.setattr(bq, "params", lambda *given, **more: settings, raising=False)
    monkeypatch.setattr(bq, "observed", lambda settings: seen, raising=False)
    monkeypatch.setattr(bq, "drift", lambda settings: drift.of(strategy, settings, None), raising=False)
    shown: dict[str, Told] = {}
    names: dict = {}
    for cell in json.loads((paths.CHECKOUT / "notebooks/04_drift_analysis.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            *before, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(before, []), "cell", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
                shown[ast.unparse(before[-1].value if isinstance(last.value, ast.Name) else last.value)] = value
            else:
                exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return {text.removeprefix("tell.").partition("(")[0]: value for text, value in shown.items()}


def decide(whole: pl.DataFrame) -> pl.DataFrame:
    """Deploy the model of the first sessions and record its decisions on the others; the newest are open."""
    namespace = params("butterfly", str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml")).namespace
    made = model(whole.filter(pl.col("session") <= days(TRAINED)[-1]))
    registry.deploy(namespace, made, reason="planted")
    open_ones = pl.col("session") > whole["session"].unique().sort()[-11]
    later = whole.filter(pl.col("t0") > made.bundle.trained_through).with_columns(
        pl.when(~open_ones).then(pl.col("outcome", "label", "t1"))
    )
    record(later, made.model_id, namespace)
    return whole


def check(found: dict[str, Told], name: str) -> dict:
    table = found["alarms"].table
    return table.filter(pl.col("check") == name).row(0, named=True)


def test_a_law_that_has_changed_is_seen_by_outcomes_and_by_nothing_else(home, monkeypatch):
    whole = decide(season(900, symbols=6, changes=CHANGES, flipped=1.0, together=0.2))
    found = told(monkeypatch, whole)
    assert all(isinstance(one, Told | Reading) for one in found.values())
    weeks = found["promise"].table
    before = weeks.filter(pl.col("week") < days(CHANGES)[-10])
    assert not before["alarm"].any() and (before["low"] < 0).all() and weeks["low"][-1] > 0.1
    assert check(found, "errors, LLR-CUSUM")["alarm"] == "yes"
    assert check(found, "features")["alarm"] == "no"
    reached = found["error_stream"].table.filter(pl.col("llr_cusum") >= pl.col("llr_limit"))["last"][0]
    assert reached > days(CHANGES)[-1] and f"{reached:%Y}" in found["error_stream"].sentence
    late = found["estimates"].table.drop_nulls("realised").tail(3)
    assert (late["realised"] < late["cbpe_low"]).all() and (late["realised"] < late["pape_low"]).all()
    assert reading.BLIND in found["estimates"].sentence
    due = found["due"].table.filter("due")["what"].to_list()
    assert "errors, LLR-CUSUM" in due and "Due to train again: " in found["due"].sentence
    assert "worse: log-loss [nats] (class prior)" in found["performance_figures"].sentence


def test_where_nothing_changes_nothing_is_said_to_have(home, monkeypatch):
    whole = decide(season(750, symbols=6, together=0.2))
    found = told(monkeypatch, whole)
    assert found["alarms"].table.filter(pl.col("alarm") == "yes").is_empty()
    assert found["alarms"].sentence.startswith("No alarm. Where nothing has changed, 0.")
    assert "Nothing needs to be looked at" in found["due"].sentence
    assert found["decided"].table["open"][0] == 60 and found["decided"].table["matured"][0] == 6 * (
        750 - 500 - HELD - 10
    )
    assert found["estimates"].table.select(pl.col("events", "matured").sum()).row(0) == (1440, 1380)
    named = ("promise", "calibration_then_and_now", "estimates", "drift_by_week", "drifted_features", "error_stream")
    for name in (*named, "outside_support"):
        figure = found[name].shown
        assert isinstance(figure, go.Figure) and figure.data, name
    assert check(found, "errors, LLR-CUSUM")["expected by chance"] > 0


def test_other_events_by_the_same_law_are_input_drift_and_no_loss(home, monkeypatch):
    whole = decide(season(750, symbols=6, changes=CHANGES, shift=1.0))
    found = told(monkeypatch, whole)
    assert found["drifted_features"].table.filter("alarm")["feature"].to_list() == ["x"]
    recent = found["drift_by_week"].table.filter(pl.col("week") >= days(CHANGES)[-1])
    means = dict(recent.group_by("feature").agg(pl.col("multiple").mean()).rows())
    assert means["x"] > 2 * means["y"]
    assert check(found, "features")["alarm"] == "yes" and check(found, "realised − predicted")["alarm"] == "no"
    assert "Nothing here is due to train again" in found["due"].sentence or "age" in found["due"].sentence


def test_without_a_decision_every_cell_says_why_there_is_nothing(home, monkeypatch):
    found = told(monkeypatch, None)
    said = {name: one.sentence for name, one in found.items() if isinstance(one, Told)}
    assert all(said.values())
    assert said["decided"] == reading.NOTHING_COUNTED and said["performance_figures"] == reading.NOTHING_MATURED
    assert said["drift_by_week"] == said["error_stream"] == reading.NO_MODEL
    assert found["decided"].shown is None and found["promise"].shown is None


def test_a_model_of_before_is_said_to_have_no_reference(home, monkeypatch):
    import dataclasses

    whole = season(60, symbols=6)
    namespace = params("butterfly", str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml")).namespace
    made = dataclasses.replace(model(whole), reference=None)
    registry.deploy(namespace, made, reason="planted")
    record(whole.with_columns(in_sample=False), made.model_id, namespace)
    found = told(monkeypatch, whole)
    for name in ("drift_by_week", "estimates", "error_stream"):
        assert reading.NO_REFERENCE in found[name].sentence, name
    assert found["performance_figures"].table["in_hindsight"].any()


def test_shares_are_drawn_in_percent_beside_their_limit():
    table = pl.DataFrame({"week": days(2), "outside": [0.34, 0.1]})
    figure = monitors.share_by_week(table, "outside", 0.3, title="", y_title="decisions")
    assert list(figure.data[0].y) == [34.0, 10.0] and figure.layout.shapes[0].y0 == 30.0


def test_a_difference_of_nothing_has_no_sign():
    rows = pl.DataFrame({"value": [0.0, 0.25], "low": [-0.5, None], "high": [0.5, None]})
    shown = rows.select(monitoring._with_interval("value", "low", "high", told=with_sign)).to_series()
    assert shown.to_list() == ["0.000 [-0.500, +0.500]", "+0.250"]
