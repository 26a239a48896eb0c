"""Features of the user's own: from a file to a model that answers, and every fault of a file in one sentence."""

import numpy as np
import polars as pl
import pytest

from bq import market, strategies, surface
from bq.audit import sound_features
from bq.core import paths
from bq.core.errors import BadData, BadParameters
from bq.serving import candidate, comparable, decide, ready
from bq.serving.ready import CannotAnswer, WhyNot
from bq.strategies import registered, store
from bq.strategies.component import Kind
from tests import stored

FILE = """
import bq
import polars as pl

def place(bars):
    moved = bars.with_columns(change=pl.col("close").pct_change(5).over("symbol"))
    return moved.select(pl.col("change").rank().over("session")).to_series()

bq.features.register("dip_20", pl.col("close") / pl.col("close").rolling_max(20) - 1)
bq.features.register("swing", lambda bars: bars["close"].pct_change().rolling_std(7).to_numpy())
bq.features.register("place", place, across=True)
"""
OWN = ("mine.dip_20", "mine.swing", "mine.place")
SMALL = {
    "breakout": ("breakout", "breakout_v1", "market.simulation.symbols=8 market.simulation.sessions=1500"),
    "butterfly": ("butterfly", "butterfly_v3", "market.simulation.symbols=3 market.simulation.sessions=1500"),
    "forecast": (
        "forecast",
        "alpha_ranks",
        "market.simulation.symbols=8 market.simulation.sessions=900 learning.regimes=null learning.select=null",
    ),
}
LEARNING = "learning.model=elastic_net learning.compare=[] learning.folds=2 learning.test_days=120"


@pytest.fixture(autouse=True)
def nothing_by_hand(home, monkeypatch):
    monkeypatch.setattr(registered, "_by_hand", {})


def write(text: str, name: str = "first.py"):
    folder = paths.raw_features()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def register(body: str, name: str = "first.py"):
    return write(f"import bq\nimport polars as pl\nimport numpy as np\n{body}\n", name)


def settings_of(strategy: str, features: str = ""):
    name, own, small = SMALL[strategy]
    asked = features or f"[{own},mine.*]"
    file = str(paths.CHECKOUT / "parameters" / "simulated" / f"{name}.yaml")
    return surface.params(strategy, file, overrides=f"{small} {LEARNING} learning.features={asked}")


def bars_of(closes, symbol="A"):
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 1) + pl.duration(days=len(closes) - 1), eager=True)
    return pl.DataFrame({"session": days, "close": closes}).with_columns(symbol=pl.lit(symbol))


@pytest.mark.parametrize("name", SMALL)
def test_a_feature_in_a_file_goes_the_whole_way_in_every_strategy(name):
    write(FILE)
    settings, strategy = settings_of(name), strategies.get(name)
    data = market.load(settings.market)
    events = store.collect(strategy, settings, data).events
    made = surface.candidate(events, settings)
    bundle = made.artefact.bundle
    assert bundle.columns[-3:] == list(OWN) and made.parity.holds
    assert strategy.features(settings).schema_hash == bundle.schema_hash
    assert set(bundle.registered) == set(OWN) and all(bundle.registered.values())
    model = ready.ready(made.artefact, strategy, settings.namespace)
    session = events["session"].unique().sort()[-40]
    decided = store.at(strategy, settings, data, session)
    trained = decided.select("event_id").join(events, on="event_id", maintain_order="left")
    assert decided.select(OWN).equals(trained.select(OWN)) and not decided["mine.dip_20"].has_nulls()
    assert len(decide.predict(model, decided, strategy)) == len(decided)


def test_values_are_those_of_the_bars_up_to_the_session():
    write(FILE)
    settings = settings_of("breakout")
    events = surface.events(settings)
    bars = market.load(settings.market).bars.to_pandas()
    row = events.row(-1, named=True)
    closes = bars[(bars["symbol"] == row["symbol"]) & (bars["session"].dt.date <= row["session"])]["close"]
    assert row["mine.dip_20"] == pytest.approx(closes.iloc[-1] / closes.iloc[-20:].max() - 1, abs=1e-6)
    assert row["mine.swing"] == pytest.approx(closes.pct_change().iloc[-7:].std(), rel=1e-5)


def test_prices_are_continuous_and_the_close_as_quoted_stands_beside_them():
    data = market.load(settings_of("breakout", "breakout_v1").market)
    halved = data.bars.with_columns(adj=pl.lit(0.5), quoted=pl.lit(True))
    given = registered.inputs(market.MarketData(halved, data.quotes, *[None] * 2, "real", "XNYS", ""))
    assert given["close"].equals(halved["close"] * 0.5) and given["volume"].equals(halved["volume"])
    assert given["turnover"].equals((halved["close"] * halved["volume"]).alias("turnover"))
    assert given["quoted"].equals(halved["close"].alias("quoted"))


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        pytest.param("[mine.swing]", ["mine.swing"], id="one"),
        pytest.param("mine.*", list(OWN), id="all"),
        pytest.param("[mine.place,mine.*]", ["mine.place", "mine.dip_20", "mine.swing"], id="each once"),
    ],
)
def test_features_are_named_one_by_one_or_by_a_pattern(asked, columns):
    write(FILE)
    settings = settings_of("breakout", asked)
    features = strategies.get("breakout").features(settings)
    assert list(features.columns) == columns
    assert strategies.get("breakout").feature_set(features.name) == features


def test_regimes_come_last():
    write(FILE)
    settings = surface.params("forecast", overrides="learning.features=[alpha_raw,mine.swing]")
    columns = strategies.get("forecast").features(settings).columns
    assert columns[-4:] == ("mine.swing", "regime_bear", "regime_neutral", "regime_bull")


FAULTS = {
    "raises": ("x = 1 / 0", r"first\.py, line 4: must run, but raised ZeroDivisionError"),
    "no Python": ("x = (", r"first\.py, line 4: must run, but raised SyntaxError"),
    "a bad name": ("bq.features.register('A b', pl.col('close'))", "must be lower-case letters"),
    "no function": ("bq.features.register('a', 3)", "must be a polars expression or a function, but got 3"),
    "an unknown column": ("bq.features.register('a', pl.col('close'), needs=['clos'])", "did you mean `close`"),
    "an expression across": ("bq.features.register('a', pl.col('close'), across=True)", "must be a function where"),
    "a name twice": (
        "bq.features.register('a', pl.col('close'))\nbq.features.register('a', pl.col('close'))",
        r"mine\.a must be registered once, but first\.py has it already",
    ),
}


@pytest.mark.parametrize(("body", "said"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_does_not_hold_is_one_sentence_that_names_it(body, said):
    register(body)
    with pytest.raises(BadParameters, match=said) as caught:
        registered.known()
    assert "first.py" in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_of_another_file_is_refused():
    register("bq.features.register('a', pl.col('close'))")
    register("bq.features.register('a', pl.col('close'))", "second.py")
    with pytest.raises(BadParameters, match=r"second\.py.*first\.py has it already"):
        registered.known()


def test_a_name_of_a_file_is_refused_by_hand_and_one_by_hand_is_replaced():
    register("bq.features.register('a', pl.col('close'))")
    with pytest.raises(BadParameters, match=r"first\.py has it already"):
        registered.register("a", pl.col("close"))
    registered.register("b", pl.col("close"))
    registered.register("b", pl.col("close") * 2)
    found = registered.compute(registered.known()["mine.b"], bars_of([1.0, 2.0]))
    assert found["mine.b"].to_list() == [2.0, 4.0]


@pytest.mark.parametrize("pattern", ["mine.nothing", "mine.sving", "mine."])
def test_a_pattern_that_names_nothing_is_refused(pattern):
    write(FILE)
    with pytest.raises(BadParameters, match=r"learning\.features.*must name a feature registered in"):
        strategies.get("breakout").features(settings_of("breakout", pattern))


VALUES = {
    "another length": (lambda bars: bars["close"].head(2), "must have one value a bar, but has 2 in the 3 bars of A"),
    "a frame": (lambda bars: bars, "must be a Series or an array of numbers"),
    "text": (lambda bars: bars["symbol"], "must be a Series or an array of numbers, but on the 3 bars of A is String"),
    "a table": (lambda bars: np.ones((3, 2)), "must be a Series or an array of numbers"),
    "infinite": (lambda bars: bars["close"] / 0.0, "is infinite on 3 bars, the first is A on 2020-01-01"),
    "beyond single precision": (lambda bars: bars["close"] * 1e300, "is infinite on 3 bars"),
    "an error": (lambda bars: bars["volume"], "raised ColumnNotFoundError"),
    "one number": (pl.col("close").mean(), "must have one value a bar, but has 1 in the 3 bars"),
    "a column not asked for": (pl.col("volume") * 2, "raised ColumnNotFoundError.*It is given symbol, session, close"),
}


@pytest.mark.parametrize(("function", "said"), VALUES.values(), ids=VALUES)
def test_values_that_do_not_hold_are_one_sentence_that_names_the_feature(function, said):
    registered.register("a", function)
    with pytest.raises(BadData, match=rf"(?s)^feature mine\.a \(registered by hand\).*{said}"):
        registered.compute(registered.known()["mine.a"], bars_of([1.0, 2.0, 3.0]))


def test_a_market_without_bars_has_no_features_of_ones_own():
    registered.register("a", pl.col("close"))
    bare = market.MarketData(market.bars.SCHEMA.to_frame(), *[pl.DataFrame()] * 3, "real", "XNYS", "")
    with pytest.raises(BadParameters, match=r"where there are no bars to make them of, but names mine\.a"):
        registered.attach(bars_of([1.0]), bare, ["mine.a"])


def test_a_value_that_is_not_a_number_is_missing():
    registered.register("a", lambda bars: np.array([np.nan, 1.0, 2.0]))
    found = registered.compute(registered.known()["mine.a"], bars_of([1.0, 2.0, 3.0]))
    assert found["mine.a"].to_list() == [None, 1.0, 2.0]


def test_no_symbol_sees_the_bars_of_another_unless_it_asks():
    bars = pl.concat([bars_of([1.0, 2.0, 3.0]), bars_of([10.0, 20.0, 30.0], "B")])
    registered.register("alone", pl.col("close").shift(1))
    alone = registered.compute(registered.known()["mine.alone"], bars)["mine.alone"].to_list()
    assert alone == [None, 1.0, 2.0, None, 10.0, 20.0]
    registered.register("all", lambda given: given["close"].cum_sum(), across=True)
    assert registered.compute(registered.known()["mine.all"], bars)["mine.all"][-1] == 66.0


def test_a_changed_file_is_another_recipe_and_the_model_made_with_it_cannot_answer():
    path = write(FILE)
    settings, strategy = settings_of("breakout"), strategies.get("breakout")
    made = surface.candidate(surface.events(settings), settings).artefact
    before = candidate.recipe_digest(settings, registered.digests(OWN))
    way = comparable.way(settings, registered.digests(OWN))
    assert made.bundle.recipe == before and comparable.incumbent_way(made, strategy, settings, {}) == way
    path.write_text(FILE + "# another word\n")
    assert candidate.recipe_digest(settings, registered.digests(OWN)) != before
    assert comparable.way(settings, registered.digests(OWN)) != way
    assert comparable.incumbent_way(made, strategy, settings, registered.digests(OWN)) == way
    with pytest.raises(CannotAnswer, match=r"these were changed: mine\.dip_20, mine\.place, mine\.swing") as caught:
        ready.ready(made, strategy, settings.namespace)
    assert caught.value.why == WhyNot.FEATURE_CHANGED
    path.unlink()
    with pytest.raises(CannotAnswer, match=r"missing: .*mine\.dip_20"):
        ready.ready(made, strategy, settings.namespace)


def test_a_recipe_without_own_features_is_the_one_it_was():
    settings = settings_of("breakout", "breakout_v1")
    assert registered.digests(strategies.get("breakout").features(settings).columns) == {}
    assert candidate.recipe_digest(settings, {}) != candidate.recipe_digest(settings, {"mine.a": "digest"})


@pytest.mark.parametrize(
    ("digest", "holds"), [("of the file", True), ("another", False), (None, False)], ids=["file", "changed", "by hand"]
)
def test_only_features_of_files_as_they_are_reach_a_champion(digest, holds):
    path = write(FILE)
    digests = registered.digests(OWN)
    assert registered.digests(OWN)["mine.swing"] == registered.files.sha256(path)
    bundle = stored.artefact(registered={**digests, "mine.swing": digests["mine.swing"] if holds else digest}).bundle
    found = sound_features.in_files(bundle)
    assert (found.kind, found.holds) == (Kind.OWN_FILES, holds)


def test_what_is_registered_by_hand_has_no_digest_and_is_kept_from_the_champion():
    registered.register("look", pl.col("close").pct_change())
    settings = settings_of("breakout", "[breakout_v1,mine.look]")
    events = surface.events(settings)
    table = surface.leaks(events.sample(fraction=1.0, shuffle=True, seed=1), settings)
    assert table.row(by_predicate=pl.col("feature") == "mine.look", named=True)["verdict"] == "clean"
    made = surface.candidate(events, settings)
    assert made.artefact.bundle.registered == {"mine.look": None}
    assert sound_features.in_files(made.artefact.bundle).holds is False


def test_a_file_is_run_from_the_bytes_that_are_digested_and_leaves_no_copy():
    path = register("bq.features.register('a', pl.col('close'))")
    assert list(registered.known()) == ["mine.a"]
    register("bq.features.register('b', pl.col('close'))")
    assert list(registered.known()) == ["mine.b"]
    assert [file.name for file in path.parent.iterdir()] == ["first.py"]
