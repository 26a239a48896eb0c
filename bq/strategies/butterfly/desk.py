"""How butterflies are traded: as one combination, sized by what it can lose, closed by the rule of their label."""

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bq.analysis.options import Greeks as OptionGreeks
from bq.analysis.options import bsm_greeks
from bq.core.errors import BadParameters, did_you_mean
from bq.strategies.butterfly import exits, pricing
from bq.strategies.butterfly.history import History, arranged, history, in_units_of_t0
from bq.strategies.butterfly.listed import Listed, board, surface
from bq.strategies.butterfly.modelled import Modelled
from bq.strategies.butterfly.payoff import structure_of
from bq.strategies.butterfly.score import Components, total
from bq.strategies.butterfly.settings import ButterflySettings, Score
from bq.strategies.butterfly.structure import IRON, QUANTITY, Structure
from bq.strategies.butterfly.trade_path import Pricer, possible
from bq.strategies.desk import (
    Asked,
    Entry,
    Event,
    Exit,
    Fill,
    Greeks,
    Kind,
    Leg,
    Levels,
    Limits,
    Mark,
    Position,
    PositionByPosition,
    Quote,
    Right,
    Size,
)

if TYPE_CHECKING:
    from bq.market import MarketData

MULTIPLIER = 100  # shares of an option contract
Array = pricing.Array
Place = tuple[Any, Any, Structure, Pricer]  # bar of the decision, bar of a session, structure and prices


def _times_multiplier(unit: OptionGreeks) -> Greeks:
    return Greeks(*(MULTIPLIER * float(getattr(unit, name)[0]) for name in Greeks._fields))


class ButterflyDesk(PositionByPosition):
    """The desk of one market. A unit is one butterfly of one contract a wing; its price is per share."""

    keeps = ("session", "symbol", "structure", "lower", "body", "upper", "dte_days", "expiry", "root", "source")

    def __init__(self, market: "MarketData", settings: ButterflySettings) -> None:
        from bq.market.calendars import periods_per_year, sessions

        self._market, self._settings = market, settings
        self._calendar = sessions(market.calendar)["session"].to_numpy()
        self._year = periods_per_year(market.calendar)
        self._known: dict[str, tuple[History, Pricer, Pricer | None]] = {}
        self._quoted: dict[tuple, Quote | None] = {}  # of the session that was asked about last
        self._session: dt.date | None = None

    def legs(self, event: Event) -> tuple[Leg, ...]:
        """Three contracts, four of an iron fly, from the lowest strike to the highest; puts first."""
        structure, common = structure_of(event), (event["symbol"], event["root"], event["expiry"])
        found: dict[tuple[float, bool], int] = {}
        for ratio, strike, call in zip(QUANTITY, structure.strikes[0], structure.is_call[0], strict=True):
            found[float(strike), bool(call)] = found.get((float(strike), bool(call)), 0) + int(ratio)
        symbol, root, expiry = common
        return tuple(
            Leg(symbol, ratio, root, expiry, strike, Right.CALL if call else Right.PUT, MULTIPLIER)
            for (strike, call), ratio in sorted(found.items())
        )

    def relisted(self, event: Event, legs: tuple[Leg, ...]) -> Event:
        """Its body, wings and expiry those of the legs."""
        strikes, expiry = sorted({leg.strike for leg in legs if leg.strike is not None}), legs[0].expiry
        assert expiry is not None
        lower, body, upper = strikes
        later = (expiry - event["expiry"]).days
        moved = {"lower": lower, "body": body, "upper": upper, "expiry": expiry, "root": legs[0].root}
        return {**event, **moved, "dte_days": event["dte_days"] + later}

    def entry(self, event: Event) -> Entry:
        """By a limit for the whole combination."""
        return Entry(Kind.LIMIT)

    def size(self, event: Event, equity: float, risk_share: float, session: dt.date) -> Size:
        """As many as lose no more than `risk_share` of the equity together."""
        quote = self.quote(event, session)
        if quote is None:
            return Size(0, math.nan)
        risk = float(self._terms(event, quote, paid=self._paid).risk[0]) * MULTIPLIER
        return Size(int(risk_share * equity // risk), risk)

    def quote(self, event: Event, session: dt.date) -> Quote | None:
        """Prices at a session's close, from listed quotes where the event is of listed contracts, else the model's."""
        if session != self._session:
            self._session, self._quoted = session, {}
        key = tuple(event[name] for name in self.keeps)
        if key not in self._quoted:
            self._quoted[key] = self._price(event, session)
        return self._quoted[key]

    def _price(self, event: Event, session: dt.date) -> Quote | None:
        found = self._place(event, session)
        if found is None:
            return None
        at, position, structure, pricer = found
        quote = pricer.quote(at, structure, position)
        mid = float(possible(quote.mid, structure)[0])
        if not math.isfinite(mid):
            return None
        each = pricer.legs(at, structure, position)[0].tolist()
        named = zip(structure.strikes[0].tolist(), structure.is_call[0].tolist(), strict=True)
        prices = tuple(price for _, price in sorted(dict(zip(named, each, strict=True)).items()))
        return Quote(mid, float(quote.half_spread[0]), prices, quoted=isinstance(pricer, Listed))

    def spot(self, event: Event, session: dt.date, *, at_open: bool = False) -> float | None:
        """The close, or the open where it is known as quoted; as an option struck at the decision is worth by."""
        found = self._place(event, session)
        if found is None:
            return None
        h, (at, place) = self._of(event["symbol"])[0], found[:2]
        close = float(in_units_of_t0(h, at, place)[0])
        if not at_open:
            return close
        opened = math.nan if h.quoted is None else float((h.opens / h.quoted)[place][0]) * close
        return opened if math.isfinite(opened) else None

    def scored(self, events: pl.DataFrame, weights: Mapping[str, float]) -> pl.Series:
        """The score by these weights of its components; those that are not named keep the strategy's."""
        known = [name for name in Score.model_fields if name in Components._fields]
        if unknown := sorted(weights.keys() - set(known)):
            raise BadParameters(
                f"`weights` of a track must name components of the rule score, but got {unknown[0]!r}; "
                f"{did_you_mean(unknown[0], known)}"
            )
        parts = Components(*(events[f"{name}_score"].to_numpy() for name in Components._fields))
        return pl.Series("score", total(parts, self._settings.score.model_copy(update=dict(weights))))

    def limits(self, event: Event, quote: Quote, *, buy: bool) -> Limits | None:
        """From the mid to what the label's fill pays; None where that buys what cannot earn, an iron for no credit."""
        last = self._net(event, quote, buy=buy)
        structure = structure_of(event)
        most = 0.0 if structure.type[0] == IRON else float(structure.width[0])
        return None if buy and last >= most else Limits(quote.mid, last)

    def mark(self, position: Position, session: dt.date) -> Mark | None:
        """The mid, with Greeks of the model at the symbol's implied volatility."""
        quote, found = self.quote(position.event, session), self._place(position.event, session)
        if quote is None or found is None:
            return None
        unit = pricing.greeks(found[2], *self._state(position.event, found), rate=self._settings.structure.rate)
        return Mark(quote.mid, quote.quoted, _times_multiplier(unit))

    def greeks(self, event: Event, leg: Leg, session: dt.date) -> Greeks | None:
        """By the model at the symbol's implied volatility, as those of a mark."""
        found = self._place(event, session)
        if found is None or leg.strike is None:
            return None
        spot, iv, years = self._state(event, found)
        rate = self._settings.structure.rate
        return _times_multiplier(bsm_greeks(spot, leg.strike, years, iv, rate=rate, is_call=leg.right == Right.CALL))

    def _state(self, event: Event, found: Place) -> tuple[Array, Array, Array]:
        """Price of the underlying, implied volatility and years to expiry at a bar."""
        at, place, structure, _ = found
        h = self._of(event["symbol"])[0]
        years = np.maximum((structure.dte_days - (h.session[place] - h.session[at]).astype(int)) / 365.0, 0.0)
        return in_units_of_t0(h, at, place), h.iv[place], years

    def exit(self, position: Position, mark: Mark | None, session: dt.date) -> Exit | None:
        """Take profit and stop before the horizon; from there on at the first price, or when none came for long."""
        event, rule = position.event, self._settings.label
        if session <= position.entered:
            return None
        day, dte = np.array([event["session"]], "datetime64[D]"), np.array([event["dte_days"]])
        held, now = exits.span(day, dte, self._calendar, rule), np.datetime64(session)
        if now < held.planned[0]:
            return self._triggered(position, mark)
        if mark is None and now < held.due[0]:
            return None
        expired = np.array([now >= np.datetime64(event["expiry"])])
        reason = exits.late(last_price=np.array([mark is None]), expired=expired)[0]
        return Exit(str(reason), Kind.CLOSE if mark is None else Kind.LIMIT)

    def levels(self, position: Position, session: dt.date) -> Levels:
        """Take profit and stop, and the session of the horizon."""
        event, rule = position.event, self._settings.label
        deal = self._deal(position)
        held = exits.span(
            np.array([event["session"]], "datetime64[D]"), np.array([event["dte_days"]]), self._calendar, rule
        )
        take = None if rule.take_profit is None else float(deal.debit[0] + rule.take_profit * deal.max_profit[0])
        stop = None if rule.stop_loss is None else float(deal.debit[0] - rule.stop_loss * deal.risk[0])
        return Levels(take, stop, held.planned[0].astype(dt.date))

    def _deal(self, position: Position) -> pricing.Terms:
        paid = pricing.Quote(np.array([position.price]), np.zeros(1))
        return pricing.terms(structure_of(position.event), paid, paid=0.0)

    def _triggered(self, position: Position, mark: Mark | None) -> Exit | None:
        if mark is None:
            return None
        deal = self._deal(position)
        profit = np.array([mark.value]) - deal.debit
        signal = exits.triggered(profit, deal.max_profit, deal.risk, self._settings.label)[0]
        return None if signal == exits.HOLD else Exit(exits.REASONS[signal], Kind.LIMIT)

    def fill(self, event: Event, asked: Asked, session: dt.date) -> Fill | None:
        """The label's fill: the mid, less or plus the half-spread paid on it; where no price comes any more, the last.

        There are no fees.
        """
        quote = self.quote(event, session) if asked.kind == Kind.LIMIT else self._last_quote(event, session)
        if quote is None:
            return None
        ratios = [leg.ratio for leg in self.legs(event)]
        prices, net = list(quote.legs), self._net(event, quote, buy=asked.quantity > 0)
        extra = net - sum(ratio * price for ratio, price in zip(ratios, prices, strict=True))
        dearer = 0 if extra > 0 else 1  # what is lost on the way stands in the price of a wing, or of the body
        prices[dearer] += extra / ratios[dearer]
        return Fill(tuple(prices), 0.0, quote.mid)

    def _last_quote(self, event: Event, session: dt.date) -> Quote | None:
        h = self._of(event["symbol"])[0]
        days = h.session[(h.session > np.datetime64(event["session"])) & (h.session <= np.datetime64(session))]
        priced = (self.quote(event, day.astype(dt.date)) for day in days[::-1])
        return next((quote for quote in priced if quote is not None), None)

    @property
    def _paid(self) -> float:
        return self._settings.costs.half_spread_paid

    def _net(self, event: Event, quote: Quote, *, buy: bool) -> float:
        if buy:
            return float(self._terms(event, quote, paid=self._paid).debit[0])
        structure = structure_of(event)
        least = -float(structure.width[0]) if structure.type[0] == IRON else 0.0
        return max(quote.mid - self._paid * quote.half_spread, least)

    def _terms(self, event: Event, quote: Quote, *, paid: float) -> pricing.Terms:
        both = pricing.Quote(np.array([quote.mid]), np.array([quote.half_spread]))
        return pricing.terms(structure_of(event), both, paid=paid)

    def _of(self, symbol: str) -> tuple[History, Pricer, Pricer | None]:
        """A symbol's history and its prices: by the model and, where it has quotes, by these."""
        if symbol not in self._known:
            s = self._settings
            bars = arranged(self._market.bars.filter(pl.col("symbol") == symbol), s)
            quotes = self._market.quotes
            quotes = quotes.filter(pl.col("underlying") == symbol) if len(quotes) else quotes
            solved = surface(quotes, rate=s.structure.rate) if len(quotes) else None
            last = np.datetime64(bars["session"][-1], "D").astype(dt.date)
            h = history(bars, solved, self._calendar, last, s, periods_per_year=self._year)
            self._known[symbol] = h, Modelled(h, s), Listed(h, s, board(quotes)) if len(quotes) else None
        return self._known[symbol]

    def _place(self, event: Event, session: dt.date) -> Place | None:
        """Bar of the decision and of the session, structure and prices; None where a bar is missing."""
        h, modelled, listed = self._of(event["symbol"])
        at, position = (np.searchsorted(h.session, np.datetime64(day)) for day in (event["session"], session))
        for place, day in ((at, event["session"]), (position, session)):
            if place >= len(h.session) or h.session[place] != np.datetime64(day):
                return None
        pricer = listed if event["source"] == "real" and event["root"] is not None and listed else modelled
        return np.array([at]), np.array([position]), structure_of(event), pricer
