"""Rows of features are decided on as the same rows in an event table are."""

import polars as pl
import pytest
from toy_strategy import TOY, toy_settings

from bq.core.errors import BadData
from bq.core.namespace import Tier
from bq.serving import candidate, decide, registry, scoring

SETTINGS = toy_settings(policy={"k": 2, "above": 0.15})


@pytest.fixture(scope="module")
def made(training, success, events, tmp_path_factory) -> candidate.Candidate:
    return candidate.save(training, success, events, tmp_path_factory.mktemp("run"), strategy=TOY, settings=SETTINGS)


@pytest.fixture(params=[Tier.CHAMPION, Tier.SECOND, Tier.RULE], ids=lambda tier: tier.label)
def models(request, home, made) -> decide.Models:
    if request.param == Tier.CHAMPION:
        registry.deploy(SETTINGS.namespace, made.artefact, reason="test")
    if request.param == Tier.SECOND:
        registry.deploy(SETTINGS.namespace.second, made.success, reason="test")
    return decide.load(TOY, SETTINGS)


def columns(events: pl.DataFrame, models: decide.Models) -> dict[str, list]:
    model = models.champion.model or (models.second.model if models.second else None)
    return events.select(scoring.needed(model, TOY)).to_dict(as_series=False)


def test_every_session_is_decided_on_as_in_an_event_table(models, events):
    for (_,), rows in events.filter(pl.col("symbol").is_not_null()).group_by("session", maintain_order=True):
        rows = rows.sort("event_id")  # the order in which an event table breaks ties
        theirs = decide.decide(rows, TOY, SETTINGS, models).sort("event_id")
        ours = scoring.score(columns(rows, models), TOY, SETTINGS, models)
        assert ours.should_trade == theirs["should_trade"].to_list()
        assert {ours.tier} == set(theirs["tier"]) and {ours.threshold} == set(theirs["threshold"])
        if ours.tier != Tier.RULE:
            assert ours.expected == theirs["expected"].to_list()
            assert ours.predicted_class == theirs["predicted_class"].to_list()
            assert ours.probabilities == [pytest.approx(row, abs=0) for row in theirs["class_probabilities"].to_list()]
            assert ours.outside_support == theirs["outside_support"].to_list()


def test_one_row_is_decided_on_as_it_is_in_a_batch(models, events):
    batch = columns(events.head(40), models)
    whole = scoring.score(batch, TOY, SETTINGS, models)
    for i in range(40):
        alone = scoring.score({name: [values[i]] for name, values in batch.items()}, TOY, SETTINGS, models)
        if whole.expected is not None:
            assert alone.expected == [pytest.approx(whole.expected[i], abs=1e-6)]


WRONG = {
    "a name too few": (lambda held: held.popitem() and held, "missing: "),
    "a name too many": (lambda held: held | {"another": [0.0]}, "unexpected: another"),
    "text for a number": (lambda held: held | {next(iter(held)): ["0.5"]}, "must be a number or null, but got '0.5'"),
    "true for a number": (lambda held: held | {next(iter(held)): [True]}, "must be a number or null, but got True"),
    "columns of other lengths": (lambda held: held | {"noise": [0.0, 1.0]}, "must have a value for each row"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_row_is_refused_in_a_sentence(home, made, events, what):
    registry.deploy(SETTINGS.namespace, made.artefact, reason="test")
    models = decide.load(TOY, SETTINGS)
    spoilt, said = WRONG[what]
    with pytest.raises(BadData, match=said):
        scoring.score(spoilt(columns(events.head(1), models)), TOY, SETTINGS, models)
