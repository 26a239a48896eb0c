"""Notebook 04: is the world still the one that the model was trained in, and what is due?"""

import itertools
from collections.abc import Sequence

import polars as pl

from bq.core.namespace import Tier
from bq.core.numerals import decimal, significant
from bq.core.scalars import day
from bq.monitoring import triggers, windows
from bq.monitoring.checks import Check, What
from bq.monitoring.drift import Monitored
from bq.monitoring.observed import Observed
from bq.serving import support
from bq.workbench import drifted, monitors, plots, reading
from bq.workbench.small import DARKEST, LIGHTEST
from bq.workbench.told import Told

ROWS = 25  # features of a heat map, those that drift most
YEAR_DAYS = 365
AGAIN, LOOK = reading.AGAIN, "a person looks"
THEN = {What.ERROR_CUSUM: AGAIN, What.PROMISE: LOOK, What.SUPPORT: LOOK}


def _first(found: Sequence[Monitored]) -> Monitored:
    """The tier that is monitored; the champion's, where none or both are."""
    return next((one for one in found if one.without is None), found[0])


def drift_by_week(found: Sequence[Monitored]) -> Told:
    """Heat map of PSI by feature and week, in multiples of what chance gives at the week's size."""
    one, title = _first(found), "Drift of the features, by week"
    if one.without is not None:
        return Told(None, reading.not_monitored(one.without))
    table = windows.multiples(one.weekly)
    order = windows.worst(table)
    shown = order.head(ROWS).to_list()
    wide = table.filter(pl.col("feature").is_in(shown)).sort("week").pivot("week", index="feature", values="multiple")
    wide = order.head(ROWS).to_frame().join(wide, on="feature", how="left", maintain_order="left")
    matrix = wide.drop("feature").to_numpy()
    titles = {"title": title, "x_title": "week of the decision", "y_title": ""}
    scale = f"blank: {significant(LIGHTEST)}, strongest: {significant(DARKEST)} or more"
    z_title = f"PSI in multiples of chance at the week's size; {scale}"
    figure = plots.heatmap(matrix, wide["feature"].to_list(), wide.columns[1:], **titles, z_title=z_title)
    figure.update_traces(zmin=LIGHTEST, zmax=DARKEST, selector={"type": "heatmap"})
    return Told(figure, reading.drift_by_week(table), table)


def drifted_features(found: Sequence[Monitored]) -> Told:
    """The worst features of the newest window: where their events lay in the training, and where they lie now."""
    one = _first(found)
    if one.without is not None:
        return Told(None, reading.not_monitored(one.without))
    figure = monitors.distributions(one.distributions, title="Worst features, then and now")
    return Told(figure, reading.drifted(one.features), one.features)


def outside_support(observed: Observed) -> Told:
    """Share of decisions whose event lies outside the training support, by week."""
    own = observed.counted.filter(pl.col("tier") != Tier.RULE.value)
    table = own.group_by(week=pl.col("session").dt.truncate("1w")).agg(
        outside=(pl.col("outside_support").list.len().fill_null(0) > 0).mean(), decisions=pl.len()
    )
    table = table.sort("week")
    title = "Events outside the training support"
    figure = monitors.share_by_week(table, "outside", support.ALERT_ABOVE, title=title, y_title="decisions")
    return Told(figure, reading.outside(table, limit=support.ALERT_ABOVE), table)


def error_stream(found: Sequence[Monitored]) -> Told:
    """The error stream against its limit."""
    one = _first(found)
    if one.without is not None:
        return Told(None, reading.not_monitored(one.without))
    check = next((check for check in one.checks if check.what == What.ERROR_CUSUM), None)
    if one.paths.is_empty():
        return Told(None, reading.errors(check), one.paths)
    return Told(monitors.streams(one.paths, title="Errors, one value a block"), reading.errors(check), one.paths)


def detectors(found: Sequence[Monitored]) -> Told:
    """Each detector on this model's own errors, with its measured run length; the dummy fires at random."""
    table = pl.DataFrame([one._asdict() for one in _first(found).detectors], infer_schema_length=None)
    if table.is_empty():
        return Told(
            None, "Detectors are compared once the deployed model's reference has enough blocks of errors.", table
        )
    whole = [
        pl.col(name).map_elements(lambda value: decimal(value, 0), return_dtype=pl.String)
        for name in ("run_length", "delay")
    ]
    shown = table.select(
        pl.col("detector").replace_strict(reading.DETECTORS, return_dtype=pl.String),
        "limit",
        **{
            "false alarms in 1,000 values [%]": 100 * pl.col("false_alarms"),
            "values to a false alarm": whole[0],
            "found within 150 values [%]": 100 * pl.col("found"),
            "values until found": whole[1],
        },
    )
    return Told(plots.table(shown), reading.detectors(table), table)


def alarms(found: Sequence[Monitored], observed: Observed) -> Told:
    """Every check as it stands, its alarms of the last year of decisions, and how many chance alone would give."""
    checks = [*(check for one in found for check in one.checks), *_promises(observed)]
    if not checks:
        return Told(None, reading.not_monitored(_first(found).without))
    rows = [_alarm(check, observed.checks) for check in checks]
    table = pl.DataFrame(rows, infer_schema_length=None)
    shown = table if table["model"].n_unique() > 1 else table.drop("model")
    return Told(plots.table(shown), reading.alarms(table, found), table)


def _promises(observed: Observed) -> list[Check]:
    from bq.monitoring import performance_checks

    return [check for check in performance_checks.of(observed) if check.what == What.PROMISE]


def _alarm(check: Check, recorded: Sequence[Check]) -> dict:
    """A check, and how often its kind began to alarm in the year before."""
    same = [one for one in recorded if one.what == check.what and (check.day - one.day).days < YEAR_DAYS]
    begun = sum(one.alarm and not before.alarm for before, one in itertools.pairwise(same))
    begun += bool(same and same[0].alarm)
    return {
        "check": drifted.NAMES.get(check.what, str(check.what)),
        "model": check.model_id,
        "value": check.value,
        "limit": check.threshold,
        "p": check.p,
        "alarm": "yes" if check.alarm else "no",
        "alarms recorded in a year": begun,
        "expected by chance": check.details.get("false_alarms_a_year"),
    }


def due(found: Sequence[Monitored], observed: Observed) -> Told:
    """What is due: how far each reason to train again, or to look, is from holding."""
    checks = {check.what: check for check in (*_first(found).checks, *_promises(observed)) if check.value is not None}
    rows = [*_age(observed), *(_limit(checks[what], then) for what, then in THEN.items() if what in checks)]
    rows.append(("open alerts", float(len(observed.alerts)), 0.0, bool(observed.alerts), LOOK))
    table = pl.DataFrame(rows, schema=["what", "now", "limit", "due", "then"], orient="row")
    shown = table.with_columns(due=pl.when("due").then(pl.lit("yes")).otherwise(pl.lit("no")))
    return Told(plots.table(shown), reading.due(table), table)


Due = tuple[str, float, float, bool, str]  # what, how far, its limit, whether it is due, and what then


def _age(observed: Observed) -> list[Due]:
    """Days since the training of the deployed model ended, by the newest session decided."""
    if observed.deployed is None or observed.counted.is_empty():
        return []
    ended = observed.deployed.bundle.trained_through.date()
    age = (day(observed.counted["session"].max()) - ended).days
    limit = triggers.OLD_DAYS + observed.subject.settings.learning.newest_days
    return [("age of the training [days]", float(age), float(limit), age > limit, AGAIN)]


def _limit(check: Check, then: str) -> Due:
    name = drifted.NAMES.get(check.what, str(check.what))
    return (name, abs(check.value or 0.0), check.threshold or 0.0, check.alarm, then)
