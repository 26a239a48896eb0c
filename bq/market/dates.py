"""From the dates and times that files hold to trading sessions, refusing what could mean two things."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from bq.market.bars import Rejected
from bq.market.tables import DateOrder

DATE_FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y"),
    *("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d-%b-%Y"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y"),
)
ORDERS: dict[DateOrder, tuple[str, ...]] = {"mdy": ("%m/%d/%Y", "%m-%d-%Y"), "dmy": ("%d/%m/%Y", "%d-%m-%Y")}
DAY = r"[A-Za-z]{3,9} \d{1,2}, \d{4}|\d{1,2} [A-Za-z]{3} \d{4}|\S+?"
TIMESTAMP = (
    rf"^(?<day>{DAY})(?:[T ](?<clock>\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?) ?(?<offset>Z|[+-]\d{{2}}:?\d{{2}})?)?$"
)
MIDNIGHT = r"^00:00(:00(\.0+)?)?$"
FEW = 8  # values by which most forms of dates are ruled out
ADVICE = "Write plain dates (2020-01-31) or times with their UTC offset (2020-01-31T16:00:00-05:00)."


def to_sessions(values: pl.Series, *, zone: str, order: DateOrder | None = None) -> pl.Series:
    """The session date of each value, in the exchange's own time zone.

    values : dates, timestamps, or text of either, without nulls. Timestamps with a zone are converted to `zone`; those
    without one are taken as dates if all of them are at midnight. zone : IANA name.
    order : of day and month, for text that reads both ways.

    Raises Rejected (a BadData) for what is no date, for a time of day without a zone, for mixed zones, for text whose
    day and month cannot be told apart, and for midnight UTC where that is the evening before at the exchange.

    >>> import polars as pl
    >>> to_sessions(pl.Series(["2020-01-03T23:30:00Z", "2020-01-05T04:00:00Z"]), zone="America/New_York").to_list()
    [datetime.date(2020, 1, 3), datetime.date(2020, 1, 4)]
    """
    if values.dtype == pl.String:
        values = _parse(values, zone=zone, order=order)
    if values.dtype == pl.Date:
        return values
    if not isinstance(values.dtype, pl.Datetime):
        raise Rejected("wrong_dtype", f"session must hold dates, but holds {values.dtype}. {ADVICE}")
    if values.dtype.time_zone is None:
        return _plain(values)
    return _local(values, zone=zone)


def _plain(stamps: pl.Series) -> pl.Series:
    timed = stamps.filter(stamps.dt.time() != dt.time())
    if len(timed):
        raise Rejected("naive_time", f"times must carry a time zone, but {timed[0]} has none. {ADVICE}", timed[0])
    return stamps.dt.date()


def _local(stamps: pl.Series, *, zone: str) -> pl.Series:
    utc = stamps.dt.convert_time_zone("UTC")
    local = stamps.dt.convert_time_zone(zone)
    at_midnight = (utc.dt.truncate("1d") == utc).all()
    if at_midnight and (local.dt.date() != utc.dt.date()).any():
        raise Rejected(
            "ambiguous_midnight",
            f"times must lie in their session, but all are midnight UTC, the evening before in {zone}. {ADVICE}",
        )
    return local.dt.date()


def order_of(values: pl.Series) -> DateOrder | None:
    """Which of day and month comes first in text that cannot be read otherwise; None where nothing says it."""
    if values.dtype != pl.String:
        return None
    days = values.str.extract_groups(TIMESTAMP).struct.field("day")
    fit: list[DateOrder] = [order for order in ORDERS if len(values) and _fitting(days, ORDERS[order])]
    return fit[0] if len(fit) == 1 else None


def _fitting(days: pl.Series, formats: Sequence[str]) -> list[pl.Series]:
    likely = [form for form in formats if not days.head(FEW).str.to_date(form, strict=False).has_nulls()]
    readings = (days.str.to_date(form, strict=False) for form in likely)
    return [reading for reading in readings if not reading.has_nulls()]


def _parse(texts: pl.Series, *, zone: str, order: DateOrder | None) -> pl.Series:
    """Text to Date, or to Datetime in UTC where it carries offsets."""
    parts = texts.str.extract_groups(TIMESTAMP).struct.unnest()
    days = _parse_days(parts["day"], texts, order=order)
    offsets = parts["offset"]
    if offsets.is_null().all():
        timed = texts.filter((~parts["clock"].str.contains(MIDNIGHT)).fill_null(False))
        if len(timed):
            raise Rejected("naive_time", f"times must carry a time zone, but {timed[0]!r} has none. {ADVICE}", timed[0])
        return days
    if offsets.has_nulls():
        first = texts.filter(offsets.is_null())[0]
        raise Rejected(
            "mixed_time_zones", f"all or no times must carry a zone, but {first!r} has none. {ADVICE}", first
        )
    clock = parts["clock"].str.pad_end(8, ":").str.replace("::::$|:::$", ":00")
    stamps = days.dt.to_string("%Y-%m-%dT") + clock + offsets.str.replace("Z", "+00:00")
    instants = stamps.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_zone="UTC", strict=False)
    _refuse_first(texts, instants.is_null(), "session must hold dates or times")
    if offsets.n_unique() > 1:
        _refuse_foreign_offsets(texts, instants, offsets, zone=zone)
    return instants


def _parse_days(days: pl.Series, texts: pl.Series, *, order: DateOrder | None) -> pl.Series:
    """The one reading of all days that fits."""
    other = [form for name, forms in ORDERS.items() if order and name != order for form in forms]
    forms = [form for form in DATE_FORMATS if form not in other]
    fitting = _fitting(days, forms)
    if not fitting:
        best = min((days.str.to_date(form, strict=False) for form in forms), key=pl.Series.null_count)
        _refuse_mixed(days, texts, best.is_null(), forms)
        _refuse_first(texts, best.is_null(), "session must hold dates")
    if any(not reading.equals(fitting[0]) for reading in fitting):
        raise Rejected(
            "ambiguous_dates",
            f"day and month must be told apart, but {texts[0]!r} reads both ways. Set `market.dates: dmy` or `mdy`, or "
            "write plain dates (2020-01-31).",
        )
    return fitting[0]


def _refuse_mixed(days: pl.Series, texts: pl.Series, broken: pl.Series, forms: Sequence[str]) -> None:
    """Raise where what most of the values' form does not fit is a date all the same, of another form."""
    if not broken.all() and _fitting(days.filter(broken), forms):
        other, usual = texts.filter(broken)[0], texts.filter(~broken)[0]
        detail = f"dates must have one form in a file, but {other!r} and {usual!r} have two. {ADVICE}"
        raise Rejected("mixed_dates", detail, other)


def _refuse_first(texts: pl.Series, broken: pl.Series, must: str) -> None:
    if broken.any():
        first = texts.filter(broken)[0]
        raise Rejected("wrong_dtype", f"{must}, but one reads {first!r}. {ADVICE}", first)


def _refuse_foreign_offsets(texts: pl.Series, instants: pl.Series, offsets: pl.Series, *, zone: str) -> None:
    """Several offsets are one time zone only if each is the exchange's own (summer and winter time)."""
    own = instants.dt.convert_time_zone(zone).dt.to_string("%z")
    foreign = offsets.str.replace("Z", "+0000").str.replace(":", "") != own
    if foreign.any():
        first = texts.filter(foreign)[0]
        raise Rejected("mixed_time_zones", f"times must be in one zone, but {first!r} is not {zone}. {ADVICE}", first)
