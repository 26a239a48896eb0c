"""One labelled table, read: every row becomes an event or is refused, every column has a place or a reason for none."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData, BadParameters
from bq.core.settings import Market, Settings
from bq.market import quarantine
from bq.market.bars import Rejected, findings
from bq.market.sources.files import ENDINGS, UNFIT, opened, readable, refusal
from bq.market.tables import Table
from bq.strategies.contract import Strategy
from bq.strategies.labelled import leaks, names, rows
from bq.strategies.labelled.typed import UNREAD, typed
from bq.strategies.layout import Layout
from bq.strategies.task import Task

PLANS = 10  # different holding times: more are hardly plans


class Read(NamedTuple):
    """What became of a table.

    events : the contract's columns (weight and label excepted), the features that were found, the strategy's columns
    beside, `file` and `row`. refused : `bars.FINDINGS`. counts : symbol, read, copies. columns : `typed.COLUMNS`.
    """

    events: pl.DataFrame
    findings: pl.DataFrame
    counts: pl.DataFrame
    columns: pl.DataFrame


def read(path: Path, strategy: Strategy, settings: Settings, *, now: dt.datetime) -> Read:
    """Read a labelled table as the settings say. now : no outcome may be known later.

    Raises BadData where the table as a whole cannot be used: with the file, what must hold, what came, what to do.
    """
    try:
        table = _opened(path, settings.market)
        return _read(table, str(path), strategy, settings, now=now)
    except UNFIT as error:
        raise BadData(f"{path}: {refusal(error, path, str(path))[1]}") from None


def _opened(path: Path, market: Market) -> Table:
    if not path.exists():
        raise BadParameters(f"FROM_FILE must name a file that exists, but {path} does not.")
    ending = readable(path)
    if ending is None:
        raise BadParameters(f"FROM_FILE must end in {', '.join(ENDINGS)}, but is {path}.")
    return opened(path, ending, market.columns, market.dates)


def _read(table: Table, file: str, strategy: Strategy, settings: Settings, *, now: dt.datetime) -> Read:
    market, layout, asked = settings.market, strategy.layout or Layout(), strategy.features(settings).columns
    known = _known_features(strategy)
    _refuse_names([name for name in asked if name not in known], layout)
    own = market.table.features if market.table else []
    matched = names.match(table.names, known=known, asked=own, layout=layout, stated=market.columns)
    found = table.scan.with_row_index("row", 1).collect()
    if found.is_empty():
        raise Rejected("empty", "a table must hold rows, but this one has none.")
    made = typed(found, matched, strategy=strategy.name, layout=layout, market=market, comma=table.decimal_comma)
    reasons = rows.reasons_of(
        made.rows.columns,
        strategy=strategy.name,
        calendar=market.calendar,
        simulated=market.is_simulated,
        units=layout.units,
        now=now,
    )
    judged = rows.judged(rows.with_ids(made.rows, strategy.name), reasons, file=file)
    _refuse_too_many(judged.refused, len(found), market)
    helpers = [name for name in made.rows.columns if name.startswith(UNREAD)]
    events = judged.kept.drop(*helpers, "given_label", "holding_days", strict=False)
    _refuse_score(events)
    leaking = leaks.by_values(events, [name for name in dict.fromkeys([*known, *asked]) if name in events.columns])
    _refuse_leaks({name: why for name, why in leaking.items() if name in asked})
    said = [_labels(judged.kept, strategy.task(settings), file), _held(judged.kept, file)]
    return Read(
        events.drop(*leaking).with_columns(pl.lit(file).alias("file")),
        pl.concat([judged.refused, *said]),
        _counts(made.rows, judged.copies),
        _with_leaks(made.columns, leaking),
    )


def _known_features(strategy: Strategy) -> list[str]:
    return [name for features in strategy.table.feature_sets for name in features.columns]


def _refuse_names(own: Sequence[str], layout: Layout) -> None:
    """Raise for features of the user's own whose names say that they are known later."""
    remedy = " If that is not so, give it another name by `market.columns: {another_name: its name}`."
    _refuse_leaks({name: why for name in own if (why := leaks.by_name(name, layout.later))}, remedy)


def _refuse_score(events: pl.DataFrame) -> None:
    if why := leaks.answers(events, "score"):
        raise Rejected("leak", f"the rule score must be known at t0, but {why}. Give the score that was there then.")


def _refuse_leaks(leaking: Mapping[str, str], remedy: str = "") -> None:
    if leaking:
        told = "; ".join(f"`{name}`: {why}" for name, why in leaking.items())
        raise Rejected(
            "leak",
            f"a feature must be known at t0 and be no score, but {told}. Take it out of the features "
            f"(market.labelled.features names those that are used).{remedy}",
        )


def _refuse_too_many(refused: pl.DataFrame, read: int, market: Market) -> None:
    limit = market.max_quarantine_share
    of = {"of": "the rows", "setting": "market.max_quarantine_share", "symbols": "symbols"}
    if reason := quarantine.excess(refused, read, limit=limit, **of):
        cases = refused.unique("rule", keep="first", maintain_order=True).select("rule", "row", "detail")
        first = "; ".join(f"{rule}: {detail} (first row {row})" for rule, row, detail in cases.head(5).rows())
        raise Rejected("quarantine_share", f"{reason} {first}.")


def _labels(kept: pl.DataFrame, task: Task, file: str) -> pl.DataFrame:
    """A finding where the table's own labels are not those that the class edges give; none without classes."""
    given = kept.filter(pl.col("given_label").is_not_null(), pl.col("outcome").is_not_null())
    if not task.classes or given.is_empty():
        return findings(pl.DataFrame({"file": pl.Series([], dtype=pl.String)}), action="flagged")
    classes = dict(enumerate(task.classes))
    ours = task.label(pl.col("outcome"))
    word = pl.col("given_label").str.to_lowercase().str.replace(r"\.0$", "")
    same = (word == ours.cast(pl.String)) | (word == ours.replace_strict(classes, default="").str.to_lowercase())
    wrong = given.with_columns(ours=ours.replace_strict(classes, default="")).filter(~same)
    edges = ", ".join(f"{edge:g}" for edge in task.edges)
    detail = pl.format(
        "row says {}, the edges ({}) say {}; theirs are used, in {} of {} rows that differ",
        "given_label",
        pl.lit(edges),
        "ours",
        pl.lit(len(wrong)),
        pl.lit(len(given)),
    )
    cases = wrong.select("row", "symbol", "session", detail=detail)
    return findings(cases, action="flagged", rule="label_differs", file=file)


def _held(kept: pl.DataFrame, file: str) -> pl.DataFrame:
    """A finding where the latest end seems to be the actual one: all ended at it, after many different times."""
    closed = kept.filter(pl.col("t1").is_not_null())
    times = (closed["t1_due"] - closed["t0"]).dt.total_days().n_unique()
    suspect = "t1" in kept.columns and times > PLANS and (closed["t1"] == closed["t1_due"]).all()
    detail = (
        f"every event ended at its latest end, after {times} different times: if these are actual and not planned "
        "holding times, the newest events are those that ended early; give the longest planned one by "
        "market.labelled.holding_days"
    )
    about = pl.DataFrame({"file": [file] * suspect}, schema={"file": pl.String})
    return findings(about, action="flagged", rule="ends_when_due", detail=detail)


def _counts(read: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    """symbol, read, copies."""
    twice = copies.group_by("symbol").len("copies")
    both = read.group_by("symbol").len("read").join(twice, on="symbol", how="left", nulls_equal=True)
    return both.with_columns(pl.col("copies").fill_null(0)).sort("symbol")


def _with_leaks(columns: pl.DataFrame, leaking: Mapping[str, str]) -> pl.DataFrame:
    why = pl.col("read_as").replace_strict(dict(leaking), default=None, return_dtype=pl.String)
    return columns.with_columns(read_as=pl.when(why.is_null()).then("read_as"), note=pl.coalesce(why, "note"))
