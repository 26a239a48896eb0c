"""What is said of decisions that count, of their performance and of what was promised."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from bq.core.namespace import Tier
from bq.core.numerals import decimal, percent, significant
from bq.core.scalars import count, number
from bq.monitoring.checks import Check
from bq.monitoring.drift import Monitored, Without
from bq.monitoring.performance import Baseline, Measure, Why
from bq.stats.calibration import Calibration
from bq.stats.limits import Detector
from bq.workbench.phrases import counted, interval, listed, signed

NOTHING_COUNTED = (
    "Nothing is counted yet: no scan of this universe was made between the close of its session and the next open. "
    "`make scan` after the close, or a replay, records decisions that count."
)
NO_MODEL = "No model is deployed: the rule score decides, which has no training and predicts no outcome."
NOTHING_MATURED = "No decision that counts has an outcome yet: `make mature` looks for those that are due."
NO_REFERENCE = (
    "There is no reference to compare with: version 0.1 stored none, and the rule score has none. A retrain stores one "
    "with its model."
)
BLIND = (
    "Both allow for other events, but not for a changed relation between features and outcomes: only outcomes show "
    "that, in realised − predicted and in the monitors of errors."
)
NO_PROBABILITIES = "The model gives no probabilities: it predicts cross-sectional z-scores."
DETECTORS = {
    Detector.LLR_CUSUM: "LLR-CUSUM",
    Detector.E_PROCESS: "e-process",
    Detector.CUSUM: "CUSUM",
    Detector.EWMA: "EWMA",
    Detector.DUMMY: "dummy, at random",
}
AGAIN = "trains again"  # what a trigger does
MEASURES = {
    Measure.ACCURACY: "accuracy",
    Measure.LOG_LOSS: "log-loss [nats]",
    Measure.BRIER: "Brier score",
    Measure.CALIBRATION: "calibration error",
    Measure.AUC: "AUC of the last class",
    Measure.RANK_IC: "rank IC",
    Measure.SQUARED_ERROR: "squared error of z-scores",
    Measure.BIAS: "realised − predicted",
    Measure.BIAS_OF_TRADES: "realised − predicted, of trades",
    Measure.WIN_RATE: "win rate of trades",
    Measure.NET: "net outcome of a session",
}
BASELINES = {
    Baseline.MAJORITY: "majority class",
    Baseline.PRIOR: "class prior",
    Baseline.CHANCE: "chance",
    Baseline.ZERO: "zero",
    Baseline.RULE: "rule score",
    Baseline.EVERYTHING: "all events",
}
WHY = {
    Why.NO_CLASSES: "the model has no classes",
    Why.NO_MODEL: "the rule score predicts nothing",
    Why.NO_TRADE: "nothing was traded",
    Why.ONE_CLASS: "all events had the same outcome",
    Why.SMALL_SESSIONS: "no session has five events",
    Why.NOT_RECORDED: "the rule score's weights are not recorded",
    Why.RESIDUAL: "the target excludes beta and volatility, which are not recorded with decisions",
    Why.Z_SCORES: "a z-score does not have the unit of an outcome",
}
LONG_MONTHS = 120  # beyond which a number of months says nothing but "never"


def decided(table: pl.DataFrame) -> str:
    """Of decisions that count by who decided: decisions, matured, open, in_sample."""
    if table.is_empty():
        return NOTHING_COUNTED
    sums = {name: count(table[name].sum()) for name in ("decisions", "matured", "in_sample")}
    aside = f" {sums['in_sample']:,} are in sample and count in no figure." if sums["in_sample"] else ""
    return (
        f"{counted(sums['decisions'], 'decision')} count, from {table['first'].min()} to {table['last'].max()}; "
        f"{sums['matured']:,} have an outcome.{aside}"
    )


def months(value: float | None) -> str:
    """How long a verdict takes.

    >>> months(0.3), months(14.2), months(400.0), months(None)
    ('1', '15', 'over 120', '–')
    """
    if value is None:
        return "–"
    return f"over {LONG_MONTHS}" if value > LONG_MONTHS else f"{max(math.ceil(value), 1)}"


def verdict_in(value: float | None) -> str:
    """When a verdict comes, as part of a sentence.

    >>> verdict_in(0.3), verdict_in(14.2), verdict_in(None)
    ('verdict in 1 month', 'verdict in 15 months', 'no verdict in sight')
    """
    told = months(value)
    return "no verdict in sight" if value is None else f"verdict in {told} month{'' if told == '1' else 's'}"


def performances(table: pl.DataFrame) -> str:
    """Of `performance.figures` of the tier that decided most: which figures beat their baseline beyond chance."""
    if table.is_empty():
        return NOTHING_MATURED
    tier = table.sort("events", descending=True)["tier"][0]
    own = table.filter(pl.col("tier") == tier, pl.col("difference").is_not_null())
    if own.is_empty():
        return "No figure has a baseline to be compared with."
    lower_is_better = [Measure.LOG_LOSS, Measure.BRIER, Measure.CALIBRATION, Measure.SQUARED_ERROR]
    sign = pl.when(pl.col("measure").is_in(lower_is_better)).then(-1.0).otherwise(1.0)
    low, high = pl.col("difference_low"), pl.col("difference_high")
    compared = own.filter(~pl.col("measure").is_in([Measure.BIAS, Measure.BIAS_OF_TRADES])).with_columns(
        better=pl.when(sign > 0).then(low > 0).otherwise(high < 0),
        worse=pl.when(sign > 0).then(high < 0).otherwise(low > 0),
    )
    better, worse = (
        [f"{MEASURES[row['measure']]} ({BASELINES[row['baseline_is']]})" for row in compared.filter(way).to_dicts()]
        for way in ("better", "worse")
    )
    if compared["difference_low"].count() == 0:
        most = number(own["blocks"].max())
        return f"Nothing can be told from chance yet: {decimal(most, 1)} blocks, and an interval needs five."
    return (
        f"Of the {Tier(tier).label}, better than the baseline beyond chance: {listed(better)}; worse: {listed(worse)}. "
        "The others cannot be told from chance yet."
    )


def promise(weeks: pl.DataFrame, *, points: float) -> str:
    """Of `promise.weekly` of one model: where realised less predicted stands, and whether that is an alarm."""
    if weeks.is_empty():
        return "No outcome has come yet for a prediction in the unit of outcomes: there is nothing to compare."
    row = weeks.row(-1, named=True)
    told = months(row["months"])
    blocks = f"{decimal(row['blocks'], 1)} blocks"
    known = f"over {counted(row['window_sessions'], 'session')} from {row['window_from']} ({blocks})"
    value = (
        f"Realised less predicted outcome is {signed(row['difference'])} {interval(row['low'], row['high'])} {known}"
    )
    if row["low"] is None:
        return f"{value}: fewer than five blocks say nothing yet."
    alarms = weeks.filter("alarm")
    verdict = "an alarm: the whole interval lies" if row["alarm"] else "no alarm, as not the whole interval lies"
    since = f", since the week of {alarms['week'].min()}" if row["alarm"] else ""
    return (
        f"{value}. That is {verdict} beyond ±{decimal(points, 2)}{since}. It takes {told} "
        f"{'month' if told == '1' else 'months'} to tell a miss of that size from chance in this universe."
    )


def by_class(table: pl.DataFrame) -> str:
    """Of accuracy, bias and win rate by predicted class: how often each came."""
    hits = table.filter(pl.col("measure") == Measure.ACCURACY)
    if hits.is_empty():
        return "No class was predicted for an event that has an outcome."
    named = [f"{row['predicted_class']} {percent(row['value'])} of {row['events']:,}" for row in hits.to_dicts()]
    return f"The predicted class was right: {listed(named)}."


def calibration_now(then: Calibration | None, now: Calibration | None, *, classes: bool = True) -> str:
    """Of calibration errors out of sample when the model was made, and since, each beside the class prior's."""
    if not classes:
        return NO_PROBABILITIES
    if now is None:
        return NOTHING_MATURED
    said = f"The calibration error is {decimal(now.error)} now (class prior {decimal(now.reference)})"
    return f"{said}. {NO_REFERENCE}" if then is None else f"{said}, and was {decimal(then.error)} out of sample."


def estimates(table: pl.DataFrame) -> str:
    """Of estimated accuracy by quarter: the newest, and how often what came lay in the interval."""
    if table.is_empty():
        return "There is no decision with probabilities to estimate from."
    row = table.row(-1, named=True)
    known = table.filter(pl.col("realised").is_not_null() & pl.col("cbpe_low").is_not_null())
    beside = "" if row["pape"] is None else f", PAPE {decimal(row['pape'])} {_within(row, 'pape')}"
    expects = f"For {row['period']} CBPE expects an accuracy of {decimal(row['cbpe'])} {_within(row, 'cbpe')}{beside}."
    if known.is_empty():
        return f"{expects} {BLIND}"
    inside = count(known["realised"].is_between(known["cbpe_low"], known["cbpe_high"]).sum())
    quarters = counted(len(known), "quarter")
    return (
        f"{expects} In {inside} of {quarters} with outcomes, the realised accuracy lay in the interval of CBPE. {BLIND}"
    )


def not_monitored(why: Without | None) -> str:
    """Why there is nothing to show of drift."""
    said = {Without.NO_MODEL: NO_MODEL, Without.NO_REFERENCE: NO_REFERENCE, Without.NO_DECISIONS: NOTHING_COUNTED}
    return said.get(why, NOTHING_COUNTED) if why else NOTHING_COUNTED


def drift_by_week(table: pl.DataFrame) -> str:
    """Of PSI by feature and week in multiples of chance: which features are highest, and that it is no test."""
    if table.is_empty():
        return NOTHING_COUNTED
    last = table["week"].unique().sort().tail(13)
    recent = table.filter(pl.col("week").is_in(last.implode())).group_by("feature").agg(pl.col("multiple").median())
    worst = recent.sort("multiple", "feature", descending=[True, False]).head(3)
    named = [f"{row['feature']} ({decimal(row['multiple'], 1)})" for row in worst.to_dicts()]
    return (
        f"Over the newest {counted(len(last), 'week')} the highest median multiples are those of {listed(named)}. "
        "Events of a session are alike and features persist, so multiples above 1 are usual: the test is below."
    )


def drifted(table: pl.DataFrame) -> str:
    """Of the features of the newest window, the worst first: which have drifted."""
    if table.is_empty():
        return "No window of decisions is whole yet, so no feature is tested."
    out = table.filter("alarm")["feature"].to_list()
    worst = table.row(0, named=True)
    named = f"{listed(out[:5])}{f' and {len(out) - 5} more' if len(out) > 5 else ''}" if out else "none"
    return (
        f"Drifted: {named}, of {counted(len(table), 'feature')}. The worst is {worst['feature']}: PSI "
        f"{decimal(worst['psi'], 2)}, usual below {decimal(worst['psi_limit'], 2)}; adjusted p "
        f"{significant(worst['adjusted'], 2)}."
    )


def outside(table: pl.DataFrame, *, limit: float) -> str:
    """Of the share outside the training support by week."""
    if table.is_empty():
        return NOTHING_COUNTED
    recent = table.tail(13)
    share = number((recent["outside"] * recent["decisions"]).sum()) / number(recent["decisions"].sum())
    above = count((table["outside"] > limit).sum())
    return (
        f"{percent(share)} of the decisions of the newest {counted(len(recent), 'week')} have a feature beyond all "
        f"that the model was trained on; {above} of {counted(len(table), 'week')} are above {percent(limit)}."
    )


def errors(check: Check | None) -> str:
    """Of the check of errors: where it stands, and how long a verdict takes."""
    if check is None or check.value is None:
        return "The reference has too few blocks of outcomes that do not overlap for a limit: errors are not monitored."
    details = check.details
    if not check.blocks:
        return f"No block of outcomes has ended yet; one takes {decimal(details['months_a_block'], 1)} months."
    said = f"It was reached on {details['alarm_at']}" if check.alarm else "It is not reached"
    delay = details["delay_months"]
    takes = "was never found in simulation" if delay is None else f"takes {decimal(delay, 0)} months on average"
    promised = f"promised was {decimal(details['reference_error'], 2)}"
    return (
        f"The LLR-CUSUM stood at {decimal(check.value, 1)} at its highest, its limit is "
        f"{decimal(check.threshold, 1)}. {said}. The error is {decimal(details['error'], 2)} in "
        f"{counted(check.blocks, 'block')}, {promised}. A rise to {decimal(details['harmful_error'], 2)} {takes} at "
        f"this universe; {significant(details['false_alarms_a_year'], 2)} false alarms a year are expected."
    )


def detectors(table: pl.DataFrame) -> str:
    """Of detectors compared on one stream at one rate of false alarms."""
    dummy = table.filter(pl.col("detector") == Detector.DUMMY)["found"][0]
    beaten = table.filter(pl.col("found") <= dummy, pl.col("detector") != Detector.DUMMY)["detector"]
    worse = (
        f" {listed([DETECTORS[name] for name in beaten])} cannot beat it here and are no evidence."
        if len(beaten)
        else " All of the others beat it."
    )
    return f"A dummy that alarms at random finds {percent(dummy)} within 150 values.{worse}"


def alarms(table: pl.DataFrame, found: Sequence[Monitored]) -> str:
    """Of all checks: which alarm, beside the number of false alarms that is expected."""
    raised = table.filter(pl.col("alarm") == "yes")["check"].to_list()
    expected = sum(one.false_alarms_a_year for one in found)
    stands = (
        f"{counted(len(raised), 'alarm')} of {counted(len(table), 'check')}: {listed(raised)}" if raised else "No alarm"
    )
    return (
        f"{stands}. Where nothing has changed, {decimal(expected, 2)} false alarms a year are expected of these "
        f"checks in all."
    )


def due(table: pl.DataFrame) -> str:
    """Of what is due."""
    again = table.filter(pl.col("due") & (pl.col("then") == AGAIN))["what"].to_list()
    look = table.filter(pl.col("due") & (pl.col("then") != AGAIN))["what"].to_list()
    first = f"Due to train again: {listed(again)}." if again else "Nothing here is due to train again."
    second = f" To be looked at: {listed(look)}." if look else " Nothing needs to be looked at."
    return f"{first}{second} `make retrain` knows the other triggers and prints the distance of each."


def _within(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "(no interval)" if low is None or low != low else f"[{decimal(low)}, {decimal(high)}]"
