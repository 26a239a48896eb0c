"""Which component refuses, counted by hand."""

from bq.core.namespace import Tier
from bq.serving.gates import Verdict
from bq.serving.refusals import TABLE, refusals
from bq.strategies.component import Component, Kind


def verdict(tier=Tier.CHAMPION, **holds) -> Verdict:
    components = [Component(kind=Kind(kind), holds=state) for kind, state in holds.items()]
    return Verdict(all(component.holds for component in components), tier, components)


def test_each_component_is_counted_and_who_refuses_alone():
    found = refusals(
        {
            "0": [verdict(alpha=False, net=False), verdict(alpha=False, net=True)],
            "0.3": [verdict(alpha=True, net=True), verdict(alpha=None, net=True), verdict(alpha=True, net=False)],
        }
    )
    counts = ["strength", "component", "verdicts", "asked", "refused", "inconclusive", "refused_alone", "deployed"]
    assert found.select(counts).rows() == [
        ("0", "alpha", 2, 2, 2, 0, 1, 0),
        ("0", "net", 2, 2, 1, 0, 0, 0),
        ("0.3", "alpha", 3, 3, 1, 1, 1, 1),
        ("0.3", "net", 3, 3, 1, 0, 1, 1),
    ]


def test_tiers_are_counted_apart_and_what_was_not_asked_is_not_refused():
    found = refusals({"1": [verdict(alpha=True), verdict(Tier.SECOND, net=False), verdict(alpha=True, net=True)]})
    assert found.select("tier", "component", "verdicts", "asked", "refused", "deployed").rows() == [
        (1, "alpha", 2, 2, 0, 2),
        (1, "net", 2, 1, 0, 2),
        (2, "net", 1, 1, 1, 0),
    ]


def test_of_nothing_there_is_an_empty_table():
    assert refusals({}).schema == TABLE and refusals({"1": []}).is_empty()
