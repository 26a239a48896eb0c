"""A parameter file says what differs from the one that it extends."""

import datetime as dt

import pytest

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters

BREAKOUT, BUTTERFLY, FORECAST = (strategies.get(name).settings for name in ("breakout", "butterfly", "forecast"))


@pytest.fixture
def folder(tmp_path):
    """Write files by name; the first of them is read."""

    def write(files: dict[str, str]):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / next(iter(files))

    return write


BASE = "strategy: butterfly\nlearning: {folds: 4, seed: 8, compare: [xgboost]}\n"


def test_sections_merge_by_name_and_lists_and_values_are_replaced(folder):
    path = folder(
        {"mine.yaml": "extends: base.yaml\nlearning: {folds: 5, compare: [elastic_net]}\n", "base.yaml": BASE}
    )
    learning = params.load(path, BUTTERFLY).learning
    assert (learning.folds, learning.seed, learning.compare) == (5, 8, ["elastic_net"])


def test_a_file_may_extend_one_that_extends_another(folder):
    files = {
        "a/mine.yaml": "extends: ../b/second.yaml\nlearning: {folds: 5}\n",
        "b/second.yaml": "extends: ../base.yaml\nlearning: {seed: 9}\nname: us\n",
        "base.yaml": BASE,
    }
    found = params.load(folder(files), BUTTERFLY)
    assert (found.learning.folds, found.learning.seed, found.learning.compare) == (5, 9, ["xgboost"])
    assert found.name == "us"


@pytest.mark.parametrize(
    ("model", "section", "name", "below", "above"),
    [
        (BUTTERFLY, "learning", "hyperparameters", "{lightgbm: {num_leaves: 7}}", "{xgboost: {max_depth: 3}}"),
        (BUTTERFLY, "learning.stack", "regime_weights", "{xgboost: [1.0]}", "{lightgbm: [0.5]}"),
        (FORECAST, "portfolio", "sectors", "{A: x, B: y}", "{C: z}"),
        (FORECAST, "learning", "hyperparameters", "{lightgbm: {num_leaves: 7}}", "{}"),
    ],
    ids=["hyperparameters", "regime_weights", "sectors", "empty"],
)
def test_a_parameter_that_is_a_mapping_is_replaced_whole(folder, model, section, name, below, above):
    """So a file says all of it, and the file that it extends can be emptied."""
    strategy = {BUTTERFLY: "butterfly", FORECAST: "forecast"}[model]

    def says(value):
        head, *rest = section.split(".")
        inner = f"{{{name}: {value}}}"
        for key in reversed(rest):
            inner = f"{{{key}: {inner}}}"
        return f"{head}: {inner}\n"

    path = folder(
        {"mine.yaml": f"extends: base.yaml\n{says(above)}", "base.yaml": f"strategy: {strategy}\n{says(below)}"}
    )
    alone = folder({"alone.yaml": f"strategy: {strategy}\n{says(above)}"})
    assert params.load(path, model) == params.load(alone, model)


def test_set_reaches_into_a_mapping_and_keeps_the_rest_of_it():
    found = params.load(
        paths.parameters("forecast"), FORECAST, overrides="learning.hyperparameters.lightgbm.num_leaves=9"
    )
    assert found.learning.hyperparameters == {
        "xgboost": {"n_estimators": 100, "reg_lambda": 3000.0},
        "lightgbm": {"n_estimators": 100, "reg_lambda": 3000.0, "num_leaves": 9},
    }


@pytest.mark.parametrize("overrides", ["learning.regimes.states=4", "market.simulation.symbols=4"], ids=str)
def test_set_makes_a_section_that_is_null(overrides):
    more = "market.simulation.sessions=700 market.source=simulated " if "simulation" in overrides else ""
    params.load(paths.parameters("butterfly"), BUTTERFLY, overrides=more + overrides)


def test_a_section_can_be_taken_out(folder):
    path = folder({"mine.yaml": "strategy: forecast\nlearning: {regimes: null, select: null}\n"})
    assert params.load(path, FORECAST).learning.regimes is None


@pytest.mark.parametrize("source", ["files", "bundled", "simulated"])
def test_the_dates_of_a_source_do_not_hold_for_another(folder, source):
    """The bundled stocks end in 2013; one's own bars are not cut there."""
    found = params.load(folder({"mine.yaml": f"strategy: breakout\nmarket: {{source: {source}}}\n"}), BREAKOUT).market
    assert (found.start, found.end) == (None, None)
    same = params.load(folder({"same.yaml": "strategy: breakout\nmarket: {source: bundled_bars}\n"}), BREAKOUT).market
    assert same.start is not None and same.end is not None


def refused(path, model=BUTTERFLY, overrides="") -> str:
    with pytest.raises(BadParameters) as caught:
        params.load(path, model, overrides=overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends: none.yaml", "must name a parameter file that exists"),
        ("extends: .", "must name a parameter file that exists"),
        ("extends: 3", "must be the path of a parameter file"),
        ("extends: null", "must be the path of a parameter file"),
        ("extends: ''", "must be the path of a parameter file"),
        ("extends: [a.yaml]", "must be the path of a parameter file"),
        ("extends: /etc/passwd", "relative to this one"),
        (f"extends: {'x' * 5000}", "must name a parameter file that exists"),
        ('extends: "a\\0b"', "must name a parameter file that exists"),
        ("extends: mine.yaml", "must not extend itself"),
        ("extends: ../{folder}/mine.yaml", "must not extend itself"),
    ],
    ids=["missing", "folder", "number", "null", "empty", "list", "absolute", "long", "nul", "itself", "itself-around"],
)
def test_a_wrong_extends_is_refused_in_one_sentence_with_the_file(folder, tmp_path, text, says):
    message = refused(folder({"mine.yaml": text.replace("{folder}", tmp_path.name)}))
    assert "mine.yaml: " in message and says in message and "\n" not in message


def test_files_that_extend_each_other_are_refused_with_the_ring(folder):
    message = refused(folder({"one.yaml": "extends: two.yaml", "two.yaml": "extends: one.yaml"}))
    assert "one.yaml extends" in message and "two.yaml extends" in message


def test_sections_that_hold_themselves_are_refused(folder):
    ring = "learning: &a\n  stack: *a\n"
    assert "mine.yaml" in refused(folder({"mine.yaml": f"extends: base.yaml\n{ring}", "base.yaml": ring}))


@pytest.mark.parametrize(
    ("wrong", "overrides", "where"),
    [
        ("base.yaml", "", "base.yaml: `learning.folds` must be"),
        ("mine.yaml", "", "mine.yaml: `learning.folds` must be"),
        ("mine.yaml", "learning.folds=x", "SET: `learning.folds` must be"),
    ],
    ids=["extended", "own", "set"],
)
def test_a_fault_is_named_with_the_place_in_which_it_stands(folder, wrong, overrides, where):
    files = {"mine.yaml": "extends: base.yaml\n", "base.yaml": "strategy: butterfly\n"}
    files[wrong] += "learning: {folds: three}\n"
    message = refused(folder(files), overrides=overrides)
    assert where in message


def test_a_fault_in_what_is_extended_is_not_one_where_it_is_replaced(folder):
    files = {
        "mine.yaml": "extends: base.yaml\nlearning: {folds: 3}\n",
        "base.yaml": "strategy: butterfly\nlearning: {folds: x}\n",
    }
    assert params.load(folder(files), BUTTERFLY).learning.folds == 3


def test_an_unknown_name_is_named_with_the_file_that_has_it(folder):
    files = {"mine.yaml": "extends: base.yaml\n", "base.yaml": "strategy: butterfly\nlearning: {folsd: 3}\n"}
    assert "base.yaml: `learning.folsd` is not a parameter; did you mean `learning.folds`?" in refused(folder(files))


OWN_DATES = {  # what is given by SET, and the dates that are read
    "market.source=files": (None, None),
    "market.source=files market.end=2010-01-04": (None, dt.date(2010, 1, 4)),
    "market.end=2010-01-04 market.source=files market.start=2005-01-03": (dt.date(2005, 1, 3), dt.date(2010, 1, 4)),
    "market.source=bundled_bars": (dt.date(2000, 3, 1), dt.date(2013, 3, 1)),
    "learning.folds=4": (dt.date(2000, 3, 1), dt.date(2013, 3, 1)),
}


@pytest.mark.parametrize(("given", "dates"), OWN_DATES.items(), ids=OWN_DATES)
def test_dates_belong_to_the_source_that_set_names_too(given, dates):
    found = params.read(paths.parameters("breakout"), BREAKOUT, overrides=given)
    market = params.validated(found, BREAKOUT).market
    assert (market.start, market.end) == dates
    assert found.variable(("market", "start")) == ("SET" if "files" in given else None)


def test_variables_are_named_by_which_a_value_came():
    given = {"SYMBOLS": "market.symbols=true", "SET": "learning.seed=1"}
    message = refused(paths.parameters("butterfly"), overrides=given)
    assert "SYMBOLS: `market.symbols` must be a list" in message


@pytest.mark.parametrize(
    ("model", "overrides", "says"),
    [
        (BREAKOUT, "ml.model_path=models/x.pkl", "`ml.model_path` is not a parameter; the deployed model is found"),
        (BREAKOUT, "ml_data_collection.db_path=x.db", "signals are kept as Parquet below data/events/"),
        (BUTTERFLY, "USE_RL=true", "weights: learnt"),
        (FORECAST, "validation.gap_days=5", "SET: `validation` is not a parameter; the gap and the embargo"),
        (FORECAST, "compute.device=cuda", "the device is `learning.device`"),
        (
            FORECAST,
            "temporal.delay_days=0",
            "`temporal.delay_days` is not a parameter; the delay is always one session",
        ),
        (FORECAST, "temporal.delay_days=true", "the delay is always one session"),
        (FORECAST, "cv_gap_days=5", "did you mean `temporal.cv_gap_days`?"),
    ],
    ids=lambda value: value.partition("=")[0] if isinstance(value, str) and "=" in value else "",
)
def test_an_older_name_is_answered_with_what_took_its_place(model, overrides, says):
    strategy = {BREAKOUT: "breakout", BUTTERFLY: "butterfly", FORECAST: "forecast"}[model]
    assert says in refused(paths.parameters(strategy), model, overrides)


def test_a_delay_of_one_session_as_files_of_0_1_state_it_is_read(folder):
    path = folder({"mine.yaml": "strategy: forecast\ntemporal: {delay_days: 1}\n"})
    assert params.load(path, FORECAST) == params.load(paths.parameters("forecast"), FORECAST)


OLDER = {
    "a file": ({"mine.yaml": "strategy: butterfly\ngate: {top_k: 3}\n"}, "", 3),
    "a file under a newer one": (
        {"mine.yaml": "extends: base.yaml\npolicy: {k: 2}\n", "base.yaml": "strategy: butterfly\ngate: {top_k: 3}\n"},
        "",
        2,
    ),
    "a newer override": ({"mine.yaml": "strategy: butterfly\ngate: {top_k: 3}\n"}, "policy.k=4", 4),
    "an older override": ({"mine.yaml": "strategy: butterfly\npolicy: {k: 2}\n"}, "gate.top_k=4", 4),
    "nothing": ({"mine.yaml": "strategy: butterfly\ngate: {top_k: null}\n"}, "", 5),
}


@pytest.mark.parametrize(("files", "overrides", "k"), OLDER.values(), ids=OLDER)
def test_a_value_is_read_under_the_name_that_it_had(folder, files, overrides, k):
    assert params.load(folder(files), BUTTERFLY, overrides=overrides).policy.k == k


def test_a_wrong_value_under_an_older_name_is_answered_under_todays(folder):
    path = folder({"mine.yaml": "strategy: butterfly\ngate: {top_k: many}\n"})
    with pytest.raises(BadParameters, match=r"mine.yaml: `policy.k` must be a whole number, but got 'many'"):
        params.load(path, BUTTERFLY)


def test_a_file_that_is_not_there_may_have_meant_one_beside_it(folder):
    path = folder({"a/mine.yaml": BASE, "base.yaml": BASE})
    assert f"must exist, but there is none; did you mean `{path}`?" in refused(path.with_name("mien.yaml"))
    assert "; known: parameters/breakout.yaml, " in refused(path.parent / "none" / "mine.yaml")
