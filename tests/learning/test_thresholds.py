"""What is earned by threshold: the policy's row is what the gate judges, in the others the rule trades as often."""

import numpy as np
import polars as pl
import pytest
from toy_strategy import TOY, toy_events, toy_settings

from bq.core.settings import Policy
from bq.learning import metrics
from bq.learning.thresholds import SHARES, by_threshold
from bq.stats.blocks import Blocks

OWN = Policy(k=2, above=0.1)
BLOCKS = Blocks(block=2.0, alpha=0.05, draws=1000, seed=1)


@pytest.fixture(scope="module")
def predictions() -> pl.DataFrame:
    """Forty sessions of six events; two folds, whose rule scores have thresholds of their own."""
    rng = np.random.default_rng(4)
    events = toy_events(sessions=43, symbols=6).filter(pl.col("outcome").is_not_null())
    return events.with_columns(
        expected=pl.Series(rng.standard_normal(len(events)).astype(np.float32) * 0.2),
        expected_above=pl.lit(0.1),
        score_from=pl.when(pl.col("session") < events["session"][120]).then(58.0).otherwise(62.0),
    )


@pytest.fixture(scope="module")
def table(predictions) -> pl.DataFrame:
    return by_threshold(predictions, OWN, lambda sessions: BLOCKS)


def best(part: pl.DataFrame, by: str, keep: pl.Expr) -> pl.Series:
    return part.filter(keep).sort(by, descending=True)["outcome"].head(2)


def test_the_row_of_the_policy_is_what_the_gate_judges(predictions, table):
    (own,) = table.filter("policy").iter_rows(named=True)
    pairs = metrics.versus(predictions, TOY, toy_settings(policy={"k": 2, "above": 0.1}))
    assert own["above"] == 0.1
    assert (own["value"], own["rule_value"]) == pytest.approx((pairs["model"].mean(), pairs["baseline"].mean()))
    model, rule = BLOCKS.means(pairs.select("model", "baseline").to_numpy())
    assert (own["low"], own["high"], own["rule_low"]) == pytest.approx((model.low, model.high, rule.low))
    parts = [part for _, part in predictions.group_by("session")]
    assert own["trades"] == sum(len(best(part, "expected", pl.col("expected") > 0.1)) for part in parts)
    assert own["rule_trades"] == sum(
        len(best(part, "score", pl.col("score") >= pl.col("score_from"))) for part in parts
    )


def test_every_other_row_compares_as_many_trades_and_earns_what_they_earn(predictions, table):
    others = table.filter(~pl.col("policy"))
    assert len(others) == len(SHARES) and others["trades"].to_list() == others["rule_trades"].to_list()
    assert others["trades"].to_list() == sorted(others["trades"], reverse=True)
    slots = 2 * predictions["session"].n_unique()
    assert others["trades"].to_list() == pytest.approx([share * slots for share in SHARES], abs=1)
    for row in others.iter_rows(named=True):
        above = -np.inf if row["above"] is None else row["above"]
        earned = [
            best(part, "expected", pl.col("expected") > above).sum() / 2 for _, part in predictions.group_by("session")
        ]
        assert row["value"] == pytest.approx(np.mean(earned))
        assert row["low"] < row["value"] < row["high"]
    assert table["above"].to_list()[0] is None and table["above"].drop_nulls().is_sorted()


def test_where_nothing_is_expected_of_any_event_the_table_is_empty(predictions):
    unknown = predictions.with_columns(expected=pl.lit(None, pl.Float32))
    assert by_threshold(unknown, OWN, lambda sessions: BLOCKS).is_empty()
