"""What a comparison of tracks says, in one sentence a question."""

from collections.abc import Sequence

from bq.core.numerals import decimal, percent, significant
from bq.monitoring.compared import Origin, Without
from bq.monitoring.compared_record import Answer, Asked, ComparisonRecord
from bq.monitoring.draws import Drawn
from bq.stats.sequential import LEAST
from bq.stats.year import TRADING_DAYS
from bq.trading.comparison import TILTED, Question, Verdict
from bq.trading.unpaired import Executed, Unpaired
from bq.workbench.phrases import COUNTS, counted

LONG_YEARS = 100
SESSIONS_A_MONTH = TRADING_DAYS / 12
WITHOUT = {
    Without.NO_SCAN: "nothing was decided yet (make scan).",
    Without.NONE_COUNTS: f"no scan counts: {COUNTS}",
    Without.NO_CHAMPION: "no champion has answered yet, so that there is nothing to pair.",
    Without.NO_EXECUTION: "no order was filled yet (make trade-paper).",
    Without.ONE_TRACK: "one track alone has nothing to be compared with (trading.tracks).",
    Without.TRADES_ALONE: "a list of trades says nothing of what a track let pass, so that decisions cannot be paired.",
}
OF = {Question.DECISIONS: "Decisions", Question.EXECUTIONS: "Executions"}


def verdicts(record: ComparisonRecord) -> list[str]:
    """Where this was, unless on an account; then a sentence for each track and question."""
    return [*_where(record), *(sentence for asked in record.asked for sentence in of_question(asked))]


def _where(record: ComparisonRecord) -> list[str]:
    replayed, simulated = record.origin == Origin.REPLAY, record.source == "simulated"
    if not (replayed or simulated):
        return []
    what = "a replay of history" if replayed else "a comparison"
    return [f"This is {what}{' on a simulated market' if simulated else ''}: nothing of it was traded on an account."]


def of_question(asked: Asked) -> list[str]:
    """The sentences of one question."""
    name = OF[asked.question]
    if asked.without is not None:
        made = f"{counted(asked.scans, 'scan')} made, but " if asked.scans else ""
        return [f"{name}: no verdict, {made}{WITHOUT[asked.without]}"]
    return [f"{name}: {_verdict(one)}" for one in asked.answers]


def _verdict(one: Answer) -> str:
    seen = f"{counted(one.observations, 'observation')} of {one.sessions} sessions"
    if one.verdict == Verdict.VOID:
        return "void: symbols and weeks were not assigned in the planned shares."
    if one.verdict == Verdict.TOO_FEW:
        have = f"{one.observations:,} of the {LEAST} observations that a first verdict needs"
        return f"no verdict yet: {have} (an observation is {counted(one.sessions, 'session')})."
    if one.verdict == Verdict.DEPENDENT:
        return (
            f"no verdict: {seen} are autocorrelated ({decimal(one.autocorrelation, 2)}, at most "
            f"{decimal(one.band, 2)}), and longer ones are too few."
        )
    apart = f"{percent(one.mean, 1, sign=True)} of capital a year {bounds(one)}, {seen}"
    if one.verdict == Verdict.OPEN:
        return f"{one.track} and {one.base} cannot be told apart yet ({apart}); {_left(one)}."
    more = "more" if one.verdict == Verdict.BETTER else "less"
    told = f"told apart on {one.since}; equals are in at most 5% of comparisons, however often one looks"
    return f"{one.track} earns {more} than {one.base}: {told} (today {apart})."


def bounds(one: Answer) -> str:
    """Bounds of a yearly mean."""
    return f"[{percent(one.low, 1, sign=True)}, {percent(one.high, 1, sign=True)}]"


def _left(one: Answer) -> str:
    if one.needed is None:
        return "today's difference is too small ever to be established"
    if one.needed <= one.days:
        return "with today's difference a verdict would be expected by now"
    return f"with today's difference a verdict is due in {wait(one.needed - one.days)}"


def wait(sessions: float) -> str:
    """Trading time in words.

    >>> wait(10), wait(63), wait(756), wait(50_000)
    ('1 month', '3 months', '3.0 years', 'over 100 years')
    """
    if sessions > LONG_YEARS * TRADING_DAYS:
        return f"over {LONG_YEARS} years"
    months = max(round(sessions / SESSIONS_A_MONTH), 1)
    return counted(months, "month") if months < 24 else f"{decimal(sessions / TRADING_DAYS, 1)} years"


def split(found: Drawn | None) -> str:
    """Whether draws went to the tracks as planned."""
    if found is None:
        return "Nothing was drawn by chance: each track had its own whole book, or the draws are not known."
    parts = ", ".join(
        f"{name} {found.counts[name]:,} (planned {percent(part)})" for name, part in found.planned.items()
    )
    chance = f"p = {significant(found.split.p, 2)}, however often one looks"
    told = f"Split of {found.split.draws:,} draws (a symbol and week each): {parts}; {chance}."
    return (
        f"{told} Not as planned: a comparison of the tracks is void."
        if found.split.p < TILTED
        else f"{told} As planned."
    )


def executed(found: Sequence[Executed]) -> str:
    """What the unpaired differences say, and what CUPED saves."""
    told = []
    for one in found:
        if one.adjusted is not None:
            told.append(
                f"{one.track}: the score before the draw takes out {percent(one.adjusted.saved, 1)} of the variance of "
                f"{one.adjusted.n_first + one.adjusted.n_base:,} opportunities"
            )
        if one.win_rate is not None:
            told.append(f"win rates {_apart(one.win_rate)}")
    return "; ".join(told) + "." if told else "No closed trades of both tracks yet."


def _apart(one: Unpaired) -> str:
    if not one.low <= one.high:
        return "on too few symbols for an interval"
    return "differ beyond chance, at one look" if one.low > 0 or one.high < 0 else "do not differ beyond chance"
