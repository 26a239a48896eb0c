"""What the gate's figures hang on: each without one symbol, one kind or one year, by hand and on planted streams."""

import datetime as dt

import polars as pl
import pytest
from gate_streams import stream
from toy_strategy import TOY, toy_settings

from bq.learning import metrics
from bq.runs.record import Job, RunRecord, Status
from bq.runs.verdict import Decision, Split, Verdict
from bq.serving import contributors, earned, verdict_text
from bq.strategies.component import Kind
from bq.workbench import hangs, report, screen

SETTINGS = toy_settings(policy={"k": 1})
T0 = [dt.datetime(2020, 12, 18, 21, tzinfo=dt.UTC), dt.datetime(2021, 1, 8, 21, tzinfo=dt.UTC)]
BY_HAND = [  # session, symbol, kind, expected, score, outcome: the best of each session is taken
    (0, "A", "call", 3.0, 1.0, 0.9),
    (0, "B", "put", 2.0, 3.0, 0.2),
    (0, "C", "put", 1.0, 2.0, 0.1),
    (1, "A", "put", 3.0, 3.0, 0.5),
    (1, "B", "call", 2.0, 2.0, 0.3),
    (1, "C", "call", 1.0, 1.0, -0.4),
]


def by_hand() -> pl.DataFrame:
    names = ("at", "symbol", "kind", "expected", "score", "outcome")
    rows = pl.DataFrame(BY_HAND, schema=names, orient="row")
    t0 = pl.Series("t0", [T0[at] for at in rows["at"]])
    return rows.with_columns(
        t0, session=t0.dt.date(), t1=t0.dt.offset_by("7d"), event_id=pl.col("symbol") + pl.col("at").cast(pl.String)
    )


def means(found, split: Split) -> dict[str, tuple[float, float]]:
    """Uplift and net without each group of a split."""
    by = {one.group: {figure.kind: figure.value for figure in one.figures} for one in found if one.split == split}
    return {group: (figures[Kind.UPLIFT], figures[Kind.NET]) for group, figures in by.items()}


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        # model A, A: .9, .5; rule B, A: .2, .5; without A both take B, B
        (Split.SYMBOL, {"A": (0.0, 0.25), "B": (0.4, 0.7), "C": (0.35, 0.7)}),
        # without calls: model B, A: .2, .5; without puts A, B: .9, .3; the rule B, A and A, B
        (Split.KIND, {"call": (0.0, 0.35), "put": (0.0, 0.6)}),
        (Split.YEAR, {"2020": (0.0, 0.5), "2021": (0.7, 0.9)}),
    ],
)
def test_a_figure_without_a_group_is_that_of_the_choice_among_the_others(split, wanted):
    found = means(contributors.of(by_hand(), TOY, SETTINGS), split)
    assert {group: pytest.approx(both) for group, both in wanted.items()} == found


def planted(*, everywhere: bool, seed: int = 3) -> pl.DataFrame:
    """A model with skill in all symbols, or one that knows to avoid S00, whose every event loses, as the rule does not.

    Without S00 it then picks as the rule does.
    """
    oos = stream(model_skill=1.0 if everywhere else 0.0, rule_skill=0.0, sessions=200, seed=seed)
    oos = oos.with_columns(kind=pl.when(pl.col("symbol") < "S04").then(pl.lit("low")).otherwise(pl.lit("high")))
    if everywhere:
        return oos
    bad = pl.col("symbol") == "S00"
    return oos.with_columns(
        outcome=pl.when(bad).then(-1.0).otherwise("outcome"),
        score=pl.when(bad).then(9.0).otherwise("score"),
        expected=pl.when(bad).then(-9.0).otherwise("score"),
    )


def verdict(oos: pl.DataFrame) -> Verdict:
    settings = toy_settings(policy={"k": 2})
    pairs = metrics.versus(oos, TOY, settings)
    figures = earned.recipe(oos, pairs, "net outcome of the top 2", settings)
    parts = [verdict_text.part(component) for component in figures]
    without = contributors.of(oos, TOY, settings)
    return Verdict(decision=Decision.KEPT, headline="", components=parts, without=without)


def test_an_uplift_that_one_symbol_makes_says_so():
    found = verdict(planted(everywhere=False))
    assert found.part(Kind.UPLIFT).holds
    told = hangs.turns(found)  # of the kind that S00 is of, too
    uplift = "net outcome of the top 2: uplift over the rule score holds, but depends on one"
    assert [text for text in told if text.startswith(uplift)] == [
        f"{uplift} symbol: without S00 (0.000 [0.000, 0.000], fails) it does not",
        f"{uplift} strategy: without the strategy low (0.000 [0.000, 0.000], fails) it does not",
    ]
    beyond = "net outcome of the top 2: {} holds, but depends on one symbol: without S00"
    for name in ("alpha over the rule score", "alpha over all events"):
        assert any(text.startswith(beyond.format(name)) for text in told)
    assert "(0.000 without S00" in hangs.largest(found)


def test_an_uplift_that_all_symbols_make_hangs_on_none():
    found = verdict(planted(everywhere=True))
    assert found.part(Kind.UPLIFT).holds and hangs.turns(found) == []
    assert [shown.title for shown in hangs.tables(found)] == [
        "Without one symbol",
        f"Without one {TOY.table.kind}",
        "Without one year",
    ]


def test_the_tables_name_every_group_and_its_contribution():
    found = verdict(planted(everywhere=False))
    symbols = hangs.tables(found)[0].table
    assert symbols.rows[0][0] == "S00" and len(symbols.rows) == 8
    whole, row = found.part(Kind.UPLIFT).facts.value, found.without[0]
    assert symbols.rows[0][3] == f"{whole - row.figures[0].value:+.3f}"
    assert symbols.rows[0][-1] == "uplift fails, alpha over the rule score fails, alpha over all events fails"
    assert {len(line) for line in symbols.rows} == {len(symbols.columns)}


def test_the_report_and_the_terminal_say_what_a_verdict_hangs_on(tmp_path):
    found = verdict(planted(everywhere=False))
    run = RunRecord(run_id="r", namespace="toy", job=Job.RETRAIN, status=Status.KEPT, error=None)
    report.render([], tmp_path / "report.html", run=run, verdict=found)
    for text in ((tmp_path / "report.html").read_text(), screen.verdict(run, found, tmp_path / "report.html")):
        assert hangs.largest(found) in text
        assert all(told in text for told in hangs.turns(found))
    page = (tmp_path / "report.html").read_text()
    assert "Without one symbol" in page and "<td>S07</td>" in page
    older = found.model_copy(update={"without": []})
    assert "argest contributor" not in screen.verdict(run, older, tmp_path / "report.html")


def test_only_the_largest_contributors_are_judged_again(monkeypatch):
    monkeypatch.setattr(contributors, "LISTED", 1)
    found = contributors.of(planted(everywhere=False), TOY, SETTINGS)
    symbols = [one.group for one in found if one.split == Split.SYMBOL]
    assert symbols[0] == "S00" and len(symbols) <= 2  # one by each figure


def test_a_verdict_is_read_again_with_what_it_hangs_on():
    found = verdict(planted(everywhere=False))
    again = Verdict.parse(found.text(), what="a verdict")
    assert hangs.turns(again) == hangs.turns(found) and again.without == found.without
