"""What monitoring found, in words: a line a check, and one for an alert."""

from collections.abc import Sequence

from bq.core.namespace import Namespace
from bq.monitoring.checks import Check, What
from bq.monitoring.drift import Monitored, Without
from bq.workbench.phrases import counted, interval, listed
from bq.workbench.reading import months
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
        shown.append(f"  false alarms expected where nothing changes: {one.false_alarms_a_year:.2f} a year in all")
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
    tested = f"p {check.p:.2g}, level {details['level']:.2g}"
    return f"{named} of {len(details['features'])} ({tested}; {_of_window(check)}{unknown})"


def _distribution(check: Check) -> str:
    usual = f"usual below {check.threshold:.2f}"
    level = check.details["level"]
    return f"PSI {check.value:.2f} ({usual}), p {check.p:.2g}, level {level:.2g} ({_of_window(check)})"


def _share(check: Check) -> str:
    known = check.low is not None and check.high is not None
    within = f" [{check.low:.0%}, {check.high:.0%}]" if known else " (too few blocks for an interval)"
    return f"{check.value:.0%}{within}, alarm above {check.threshold:.0%} ({_of_window(check)})"


def _promised(check: Check) -> str:
    return (
        f"{_difference(check)}, alarm where all of it is beyond ±{check.threshold:.2f} (from {check.details['from']})"
    )


def _compared(check: Check) -> str:
    return f"{_difference(check)} ({check.details['figure']:.3f}, baseline {check.details['baseline']:.3f})"


def _difference(check: Check) -> str:
    """A difference with its interval, and how long it takes to be told from chance."""
    takes = months(check.details["months"])
    return f"{check.value:+.3f} {interval(check.low, check.high)}, verdict in {takes} months"


def _errors(check: Check) -> str:
    details = check.details
    if not check.blocks:
        return f"no block of outcomes has ended yet; one takes {details['months_a_block']:.1f} months"
    known = details["error_low"] is not None
    within = f" [{details['error_low']:.2f}, {details['error_high']:.2f}]" if known else ""
    since = f" since {details['alarm_at']}" if details["alarm_at"] else ""
    delay = "" if details["delay_months"] is None else f", on average after {details['delay_months']:.0f}"
    harm = (
        f"a rise to {details['harmful_error']:.2f} is found in {details['found']:.0%} of simulations within "
        f"{details['within_months']:.0f} months{delay}"
    )
    return (
        f"{check.value:.1f} of {check.threshold:.1f}{since}; error {details['error']:.2f}{within}, promised "
        f"{details['reference_error']:.2f}, in {counted(check.blocks, 'block')}; {harm}; "
        f"{details['false_alarms_a_year']:.3f} false alarms a year"
    )
