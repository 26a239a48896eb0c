"""Decisions by symbol and session, as `make scan` would make them now, and what stands behind one of them."""

import datetime as dt
import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import polars as pl

from bq.core import paths
from bq.core.errors import BadData, BQError
from bq.core.log import log
from bq.core.settings import Settings
from bq.jobs.http.deployed import Serving, Stamp
from bq.market import MarketData
from bq.market.sources import rooted
from bq.monitoring import deciding
from bq.serving import explain
from bq.strategies import store
from bq.strategies.contract import Strategy

LOOK_SECONDS = 10  # each look is a request to the storage
KEPT = 64  # sessions whose decisions are kept
NEAREST = 8  # past events that are shown
RAW = ("bars", "chains", "features")  # folders of what users bring
Key = tuple[dt.date, Stamp]


class Session(NamedTuple):
    """The events of a session, and the decisions on them, best first."""

    events: pl.DataFrame
    answer: pl.DataFrame


class Sessions:
    """Built when they are asked for, one at a time; kept until what is deployed or the files of data/raw change."""

    def __init__(self, strategy: Strategy, settings: Settings) -> None:
        self.strategy, self.settings = strategy, settings
        self._lock = threading.Lock()
        self._files: frozenset[Any] | None = None
        self._remote: frozenset[Any] = frozenset()
        self._next_look = 0.0
        self._market: MarketData | None = None
        self._past: pl.DataFrame | None = None
        self._kept: OrderedDict[Key, Session] = OrderedDict()

    def decided(self, symbol: str, session: dt.date, serving: Serving) -> pl.DataFrame:
        """The decisions on a symbol, made beside all of its session. Raises BadData where it has no event."""
        with self._lock:
            found = self._of(session, serving).answer.filter(pl.col("symbol") == symbol)
            if found.is_empty():
                raise BadData(_nothing(symbol, session, self._of_symbol(symbol)))
        return found

    def explained(self, symbol: str, session: dt.date, serving: Serving) -> list[dict[str, Any]]:
        """Of each event of a symbol: what each feature contributed, and the nearest past events with their outcomes.

        Contributions are None where no model decides, or where too few events had ended before.
        """
        made = self.decided(symbol, session, serving)
        with self._lock:
            events = self._of(session, serving).events
            if self._past is None:
                self._past = store.collect(self.strategy, self.settings, self._read()).events
            past = self._past
        return [
            self._explained(events.filter(pl.col("event_id") == event_id), past, serving)
            for event_id in made["event_id"]
        ]

    def _explained(self, event: pl.DataFrame, past: pl.DataFrame, serving: Serving) -> dict[str, Any]:
        before = past.filter(pl.col("t1_due") < event["t0"][0], pl.col("outcome").is_not_null())
        contributions, model = None, serving.models.champion.model
        if model is not None and len(before) >= explain.BACKGROUND:
            seed = self.settings.learning.seed
            contributions = explain.contributions(model, event, before, self.strategy, seed=seed).to_dicts()
        nearest: list[dict[str, Any]] = []
        if len(before):
            found = explain.nearest(event, before, self.strategy.features(self.settings), count=NEAREST)
            nearest = found.select("event_id", "symbol", "session", "outcome", "distance").to_dicts()
        return {
            "event_id": event["event_id"][0],
            "contributions": contributions,
            "nearest": nearest,
            "past_events": len(before),
            "past_mean_outcome": before["outcome"].mean(),
        }

    def _of(self, session: dt.date, serving: Serving) -> Session:
        market, key = self._read(), (session, serving.stamp)
        if key not in self._kept:
            events = store.at(self.strategy, self.settings, market, session)
            answer = pl.DataFrame(schema={"symbol": pl.String})
            if len(events):
                models = serving.models
                answer = deciding.answered(events, self.strategy, self.settings, market, models=models)
            self._kept[key] = Session(events, answer)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _read(self) -> MarketData:
        """The market, read again where a file of data/raw changed, or the bars below `BQ_DATA_ROOT` did."""
        files = _files() | self._below_root()
        if self._market is None or files != self._files:
            self._market, self._files, self._past = store.market_data(self.settings), files, None
            self._kept.clear()
        return self._market

    def _below_root(self) -> frozenset[Any]:
        """Bars below `BQ_DATA_ROOT`, looked at once in `LOOK_SECONDS`; while that fails, those of before."""
        if self.settings.market.source == "files" and time.monotonic() >= self._next_look:
            try:
                self._remote = rooted.stamp()
            except BQError as error:
                if self._market is None:
                    raise
                log.warning("serve: the bars read before are still in use: %s", error)
            self._next_look = time.monotonic() + LOOK_SECONDS
        return self._remote

    def _of_symbol(self, symbol: str) -> dt.date | None:
        """The newest session of a symbol; None where the market does not know it."""
        bars = self._read().bars
        newest = bars.filter(pl.col("symbol") == symbol)["session"].max()
        return newest if isinstance(newest, dt.date) else None


def _files() -> frozenset[Any]:
    raw = paths.home() / "data" / "raw"
    found = (path for name in RAW for path in (raw / name).rglob("*") if path.is_file())
    return frozenset((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found)


def _nothing(symbol: str, session: dt.date, newest: dt.date | None) -> str:
    if newest is None:
        return f"symbol: must be one that the market has bars of, but {symbol} has none."
    return f"{symbol} on {session}: there is no event to decide on; its newest session with a bar is {newest}."
