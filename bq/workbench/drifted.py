"""What monitoring found, in words: a line a check, and one for an alert."""

from collections.abc import Sequence

from bq.core.namespace import Namespace
from bq.core.numerals import decimal, percent, significant, with_sign
from bq.monitoring.checks import Check, What
from bq.monitoring.drift import Monitored, Without
from bq.workbench.phrases import counted, interval, listed
from bq.workbench.reading import verdict_in
from bq.workbench.screen import PLAIN, RED

NAMES = {
    What.INPUT: "features",
    What.OUTPUT: "predicted classes",
    What.LEVEL: "expected outcomes",
    What.SUPPORT: "outside the training support",
    What.TIER: "decided by another tier",
    What.ERROR_CUSUM: "errors, LLR-CUSUM",
    What.ERROR_EPROCESS: "errors, e-process",
    What.PROMISE: "realised − predicted",
    What.ACCURACY: "accuracy over majority",
    What.LOG_LOSS: "log-loss over prior",
    What.RANK_IC: "rank IC over rule score",
    What.UPLIFT: "net outcome over rule score",
}
ABSENT = {
    Without.NO_MODEL: "not monitored: no model is deployed",
    Without.NO_REFERENCE: "not monitored: an earlier version stored it without a reference; the next model has one",
    Without.NO_DECISIONS: "not monitored: none of its decisions counts yet (the first scan of a session, made in time)",
}
SHOWN = 5  # features that are named


def lines(namespace: Namespace, found: Sequence[Monitored]) -> list[str]:
    """What was found of both tiers."""
    shown = [f"{namespace} · drift"]
    for one in found:
        head = f"{one.namespace.tier.label} {one.model_id or ''}".strip()
        if one.without is not None:
            shown.append(f"{head}: {ABSENT[one.without]}")
            continue
        shown.append(f"{head}, decisions to {one.day}")
        shown += [_line(check) for check in one.checks]
        shown.append(
            f"  false alarms expected where nothing changes: {decimal(one.false_alarms_a_year, 2)} a year in all"
        )
    return shown


def performance(made: Sequence[Check]) -> list[str]:
    """What the checks of performance say; no line where nothing has an outcome."""
    return ["performance", *map(_line, made)] if made else []


def _line(check: Check) -> str:
    text = f"  {NAMES.get(check.what, check.what):<29}{_found(check)}"
    return f"{RED}{text}: ALARM{PLAIN}" if check.alarm else text


def statement(check: Check) -> str:
    """A check with an alarm as a sentence of its own."""
    return f"{check.namespace}: {NAMES.get(check.what, check.what)} of model {check.model_id}: {_found(check)}"


def retirement(check: Check) -> str:
    """Why a model was retired, as a sentence of its own."""
    return (
        f"model {check.model_id} no longer decides: its errors are beyond their limit, and more since about "
        f"{check.details['changed']} ({_found(check)})"
    )


def _found(check: Check) -> str:
    details = check.details
    if check.value is None:
        if "needed" in details:
            return f"{details['sessions']} of {details['needed']} decided sessions that the first check needs"
        if "windows_needed" in details:
            known = counted(details["reference_sessions"], "session")
            needed = counted(details["windows_needed"], "window")
            return f"not checked: the model itself predicted {known} before it was deployed, fewer than {needed}"
        return f"the model has fewer than {details['reference_blocks_needed']} blocks of walk-forward errors"
    return {
        What.INPUT: _features,
        What.OUTPUT: _distribution,
        What.LEVEL: _distribution,
        What.SUPPORT: _share,
        What.TIER: _share,
        What.PROMISE: _promised,
        **dict.fromkeys((What.ACCURACY, What.LOG_LOSS, What.RANK_IC, What.UPLIFT), _compared),
    }.get(check.what, _errors)(check)


def _of_window(check: Check) -> str:
    details = check.details
    return f"{counted(check.n, 'decision')}, {details['first']} to {details['last']}"


def _features(check: Check) -> str:
    details, drifted = check.details, check.details["drifted"]
    more = f" and {len(drifted) - SHOWN} more" if len(drifted) > SHOWN else ""
    named = f"{listed(drifted[:SHOWN])}{more} drifted" if drifted else "none drifted"
    unknown = f", {counted(details['unmatched'], 'decision')} left out" if details["unmatched"] else ""
    tested = f"p {significant(check.p, 2)}, level {significant(details['level'], 2)}"
    return f"{named} of {len(details['features'])} ({tested}; {_of_window(check)}{unknown})"


def _distribution(check: Check) -> str:
    usual = f"usual below {decimal(check.threshold, 2)}"
    level = check.details["level"]
    tested = f"p {significant(check.p, 2)}, level {significant(level, 2)}"
    return f"PSI {decimal(check.value, 2)} ({usual}), {tested} ({_of_window(check)})"


def _share(check: Check) -> str:
    known = check.low is not None and check.high is not None
    within = f" [{percent(check.low)}, {percent(check.high)}]" if known else " (too few blocks for an interval)"
    return f"{percent(check.value)}{within}, alarm above {percent(check.threshold)} ({_of_window(check)})"


def _promised(check: Check) -> str:
    return (
        f"{_difference(check)}, alarm where all of it is beyond ±{decimal(check.threshold, 2)} (from "
        f"{check.details['from']})"
    )


def _compared(check: Check) -> str:
    return f"{_difference(check)} ({decimal(check.details['figure'])}, baseline {decimal(check.details['baseline'])})"


def _difference(check: Check) -> str:
    """A difference with its interval, and how long it takes to be told from chance."""
    takes = verdict_in(check.details["months"])
    return f"{with_sign(check.value)} {interval(check.low, check.high)}, {takes}"


def _errors(check: Check) -> str:
    details = check.details
    if not check.blocks:
        return f"no block of outcomes has ended yet; one takes {decimal(details['months_a_block'], 1)} months"
    known = details["error_low"] is not None
    within = f" [{decimal(details['error_low'], 2)}, {decimal(details['error_high'], 2)}]" if known else ""
    since = f" since {details['alarm_at']}" if details["alarm_at"] else ""
    delay = "" if details["delay_months"] is None else f", on average after {decimal(details['delay_months'], 0)}"
    harm = (
        f"a rise to {decimal(details['harmful_error'], 2)} is found in {percent(details['found'])} of simulations "
        f"within {decimal(details['within_months'], 0)} months{delay}"
    )
    return (
        f"{decimal(check.value, 1)} of {decimal(check.threshold, 1)}{since}; error "
        f"{decimal(details['error'], 2)}{within}, promised {decimal(details['reference_error'], 2)}, in "
        f"{counted(check.blocks, 'block')}; {harm}; {decimal(details['false_alarms_a_year'])} false alarms a year"
    )
