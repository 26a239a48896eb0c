"""The dry-run broker: an account that needs nothing outside. Orders are filled by the strategy's own pricing.

It keeps its state in a file of its own, as a broker's outlives the process that trades with it, and what goes wrong
with a real one goes wrong here too, by a seed: answers are lost before or after a call acted, an order is accepted
late, rejected, filled in part, or gets a second number when it is repriced; executions come twice, or are corrected.
"""

import datetime as dt
import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from bq.core import files, paths
from bq.core.settings import Trading
from bq.strategies.desk import Asked, Desk, Fill, Kind, Leg
from bq.trading import odd, split
from bq.trading.broker import Charged, Executed, Look, Moment, NoAnswer, Seen, Status, Ticket
from bq.trading.intents import Order, Tif, as_json, from_json, legs_as_json, legs_of
from bq.trading.money import PARTS, parts
from bq.trading.risk import worst_loss

KEPT_SESSIONS = 7  # for so many the account tells of executions and orders that ended
STEP_MINUTES = 5  # of a session, between two looks at its orders
ROUNDING = 5  # parts: a limit that is nearer than this to a price has reached it
WHOLE = "BAG"  # what an execution of a combination as one is called


def state_file(account: str) -> Path:
    """Where the account is kept."""
    return paths.home() / "data" / "dry_run" / f"{account}.json"


class DryRun:
    """One account. It never trades later than the bars that it is shown (`moments`)."""

    real, paper = False, True

    def __init__(
        self,
        account: str,
        desk: Desk,
        calendar: pl.DataFrame,
        *,
        trading: Trading,
        lasting: bool = True,
    ) -> None:
        """calendar : session and close_utc. lasting : whether it outlives this object, in its file."""
        self.account, self._desk, self._lasting = account, desk, lasting
        self._steps, self._faults = trading.reprice_steps, trading.dry_run
        self._close = dict(calendar.select("session", "close_utc").sort("session").rows())
        self._sessions = list(self._close)
        self._path = state_file(account)
        new: dict[str, Any] = {
            "session": None,
            "step": 0,
            "calls": 0,
            "orders": [],
            "fills": [],
            "cash": parts(trading.capital),
            "held": {},
        }
        known = lasting and self._path.is_file()
        self._state: dict[str, Any] = files.read_json(self._path) if known else new

    # ---- what any broker does

    def look(self) -> Look:
        """What is known of the account. An order that is accepted late does not show at the first look after it."""
        self._call("look")
        orders, late = self._state["orders"], [one for one in self._state["orders"] if one["hidden"]]
        shown = [_seen(one) for one in orders if not one["hidden"]]
        for one in late:
            one["hidden"] -= 1
        fills = self._state["fills"]
        told = [_executed(row) for row in fills] + [_executed(row) for row in fills[-1:] if self._chance("again") < 0.5]
        charged = [Charged(row["exec_id"], row["fee"]) for row in fills if row["fee"] is not None]
        if late:
            self._save()
        return Look(tuple(shown), tuple(told), tuple(charged), dict(self._state["held"]), self._available())

    def place(self, ticket: Ticket) -> None:
        """Take an order. One that comes twice is two orders, as with any broker."""
        lost = self._call("place", ticket.order.order_ref)
        odds = self._chance("reject", ticket.order.order_ref)
        status = Status.REJECTED if odds < self._faults.rejects else Status.WORKING
        one = {
            "perm_id": self._next(),
            "status": status.value,
            "filled": 0,
            "fills": 0,
            "stuck": False,
            "hidden": int(lost and self._chance("late", ticket.order.order_ref) < 0.5),
            "opening": ticket.opening,
            "beside": ticket.beside,
            "followed": ticket.followed,
            "event": as_json(ticket.event),
            "legs": legs_as_json(ticket.legs),
            "reference": None,
            "trigger": ticket.order.limit_price if ticket.order.kind == Kind.STOP else None,
            "limit": ticket.order.limit_price,
            **_of_order(ticket.order),
        }
        parent = self._parent(one)
        if parent is not None and parent["filled"]:
            self._protect(one, parent)
        self._state["orders"].append(one)
        self._save()
        if lost:
            raise NoAnswer(f"dry run: no answer to the order {ticket.order.order_ref}")

    def amend(self, order_ref: str, price: int | None, quantity: int | None = None) -> None:
        """Move a limit or a trigger, or change a quantity; now and then the order has another number afterwards."""
        lost = self._call("reprice", order_ref)
        for one in self._working(order_ref):
            if price is not None:
                one["trigger" if one["kind"] == Kind.STOP else "limit"] = price
            if quantity is not None:
                one["quantity"] = quantity
            if self._chance("number", order_ref) < self._faults.lost_answers:
                one["perm_id"] = self._next()
        self._save()
        if lost:
            raise NoAnswer(f"dry run: no answer to the change of {order_ref}")

    def cancel(self, order_ref: str) -> None:
        """Cancel what is working of an order."""
        lost = self._call("cancel", order_ref)
        for one in self._working(order_ref):
            one["status"] = Status.CANCELLED.value
        self._save()
        if lost:
            raise NoAnswer(f"dry run: no answer to the cancellation of {order_ref}")

    def margin(self, ticket: Ticket) -> int:
        """The most that a combination can lose, or the value of shares."""
        self._call("margin", ticket.order.order_ref)
        fill = self._desk.quote(ticket.event, ticket.event["session"])
        if fill is None:
            raise NoAnswer(f"dry run: no price for {ticket.order.order_ref}")
        return parts(abs(ticket.order.quantity) * worst_loss(ticket.legs, fill.mid))

    def listed(self, legs: tuple[Leg, ...]) -> tuple[Leg, ...] | None:
        """As they are: every contract exists."""
        return legs

    def moments(self, *, until: dt.date) -> Iterator[Moment]:
        """Play the sessions that have closed since the last one: each step of a limit, and a look after the last."""
        if self._state["session"] is None:
            self._state["session"] = until.isoformat()
            self._save()
            return
        begun = dt.date.fromisoformat(self._state["session"])
        for session in self._sessions[bisect_right(self._sessions, begun) : bisect_right(self._sessions, until)]:
            for step in range(self._state["step"], self._steps + 2):
                self._play(session, step)
                if step <= self._steps and not any(one["kind"] == Kind.LIMIT for one in self._working()):
                    continue  # nothing to look after before the end
                yield self._moment(session, step)
                self._state["step"] = step + 1
                self._save()
            self._at_close(session)
            self._state |= {"session": session.isoformat(), "step": 0}
            self._forget(session)
            self._save()

    def pause(self) -> None:
        """Nothing: this broker is never slow."""

    # ---- how orders are filled

    def _play(self, session: dt.date, step: int) -> None:
        """What the market does in a step, once: a run that was killed in it is followed by one that begins it again."""
        here = [session.isoformat(), step]
        if here <= self._state.get("played", []):
            return
        if step == 0:
            self._split(session)
            self._at_open(session)
        self._at_limits(session)
        self._state["played"] = here  # kept by whichever save comes next, with what was filled

    def _split(self, session: dt.date) -> None:
        """Multiply the shares that are held into a session on which they split, and stops that protect them.

        What remains is paid by nobody. Other orders stay of as many shares as were ordered.
        """
        held, last = self._state["held"], self._state.get("last", {})
        for contract in list(held):
            if (factor := self._desk.split(contract, session)) != 1.0:
                held[contract] = split.of(held[contract], factor)
                last[contract] = parts(last.get(contract, 0) / PARTS / factor)
                for one in [
                    one for one in self._working() if one["trigger"] and legs_of(one["legs"])[0].contract == contract
                ]:
                    one["quantity"] = split.of(one["quantity"], factor)
                    one["trigger"] = parts(one["trigger"] / PARTS / factor)

    def _at_open(self, session: dt.date) -> None:
        """Orders for the open, those that open a position first; then stops, which the same bar may reach."""
        for kind, opening in ((Kind.OPEN, True), (Kind.STOP, False), (Kind.OPEN, False)):
            for one in [one for one in self._working() if (one["kind"], one["opening"]) == (kind, opening)]:
                if one["status"] == Status.WORKING.value:  # not cancelled by the one before
                    self._try(one, session)

    def _at_limits(self, session: dt.date) -> None:
        for one in self._working():
            if one["kind"] == Kind.LIMIT and not one["stuck"]:
                self._try(one, session)

    def _at_close(self, session: dt.date) -> None:
        for one in self._working():
            if one["kind"] == Kind.CLOSE and one["status"] == Status.WORKING.value:
                self._try(one, session)
        for one in self._working():
            over = one["session"] <= session.isoformat()
            if one["tif"] == Tif.DAY and over:
                one["status"] = Status.CANCELLED.value
        for one in [one for one in self._working() if one["parent"]]:
            parent = self._parent(one)
            over = parent is None or parent["status"] != Status.WORKING.value
            cut = parent is not None and parent["stuck"] and parent["session"] == session.isoformat()
            if (over and one["trigger"] is None) or (cut and self._drawn("with its rest", one["order_ref"]) < 0.5):
                one["status"] = Status.CANCELLED.value  # nothing is left to protect, or some brokers think so

    def _try(self, one: dict[str, Any], session: dt.date) -> None:
        """Fill an order in a session, if its price is reached."""
        if session.isoformat() < one["session"] or (one["parent"] and one["trigger"] is None):
            return
        left = self._left(one)
        if not left:
            return
        trigger = None if one["trigger"] is None else one["trigger"] / PARTS
        asked = Asked(Kind(one["kind"]), left, one["opening"], trigger)
        event, legs = from_json(one["event"]), legs_of(one["legs"])
        whole = legs == self._desk.legs(event)
        fill = self._desk.fill(event, asked, session) if whole else odd.fill(self._desk, event, legs[0], left, session)
        if fill is None:
            return
        prices = [parts(price) for price in fill.legs]
        net = sum(leg.ratio * price for leg, price in zip(legs, prices, strict=True))
        if one["limit"] is not None and (net - one["limit"]) * (1 if left > 0 else -1) > ROUNDING:
            return
        done = left
        partial = one["kind"] == Kind.LIMIT or one.get("followed", False)
        if partial and self._drawn("partial", one["order_ref"]) < self._faults.partial_fills:
            done, one["stuck"] = int(left / 2) or left, True
        self._book(one, legs, prices, net, done, fill, session)

    def _book(
        self, one: dict, legs: tuple[Leg, ...], prices: list[int], net: int, done: int, fill: Fill, session: dt.date
    ) -> None:
        fee = parts(fill.fee * done / self._left(one))
        one["filled"] += done
        one["fills"] += 1
        rows = [
            (leg.contract, leg.ratio * done, price, leg.multiplier) for leg, price in zip(legs, prices, strict=True)
        ]
        if len(legs) > 1:
            rows.insert(0, (WHOLE, done, net, legs[0].multiplier))
        for number, (contract, quantity, price, multiplier) in enumerate(rows):
            whole = contract == WHOLE
            row = {
                "exec_id": f"{self.account}.{one['perm_id']:08d}.{one['fills']:02d}{number:02d}.01",
                "order_ref": one["order_ref"],
                "perm_id": one["perm_id"],
                "whole": whole,
                "contract": contract,
                "quantity": quantity,
                "price": price,
                "multiplier": multiplier,
                "session": session.isoformat(),
                "at_utc": self._close[session].isoformat(),
                "fee": fee if number == 0 else None,
            }
            self._state["fills"].append(row)
            if self._drawn("corrected", row["exec_id"]) < self._faults.lost_answers:
                self._state["fills"].append({**row, "exec_id": row["exec_id"][:-2] + "02"})
            if not whole:
                self._state["cash"] -= quantity * price * multiplier
                held = self._state["held"]
                held[contract] = held.get(contract, 0) + quantity
                if multiplier == 1:
                    self._state.setdefault("last", {})[contract] = price
                if not held[contract]:
                    del held[contract]
                    self._state.get("last", {}).pop(contract, None)
        self._state["cash"] -= fee
        self._after(one, fill)

    def _after(self, one: dict[str, Any], fill: Fill) -> None:
        """What a fill does to other orders: protective ones begin to work, one beside it is cancelled."""
        one["reference"] = parts(fill.reference)
        for other in self._working():
            if other["parent"] == one["order_ref"] and other["trigger"] is None:
                self._protect(other, one)
            if one["beside"] == other["order_ref"] or other["beside"] == one["order_ref"]:
                other["status"] = Status.CANCELLED.value
        if one["filled"] == one["quantity"]:
            one["status"] = Status.FILLED.value

    def _protect(self, stop: dict[str, Any], parent: dict[str, Any]) -> None:
        """Let a protective stop work, below the price at which its parent was filled.

        It stays of as many units as were ordered, also where its parent was filled in part: a broker may not cut it.
        """
        if stop["trigger"] is None:
            stop["trigger"] = parent["reference"] - stop["stop_distance"]

    # ---- small parts

    def _parent(self, one: dict[str, Any]) -> dict[str, Any] | None:
        return next((other for other in self._state["orders"] if other["order_ref"] == one["parent"]), None)

    def _left(self, one: dict[str, Any]) -> int:
        """Units that it may still fill: of what protects an order that works, those which that one has filled."""
        parent, left = self._parent(one), one["quantity"] - one["filled"]
        if parent is None or parent["status"] != Status.WORKING.value:
            return int(left)
        filled = abs(parent["filled"]) - abs(one["filled"])
        return int(max(left, -filled) if left < 0 else min(left, filled))

    def _working(self, order_ref: str | None = None) -> list[dict[str, Any]]:
        working = [one for one in self._state["orders"] if one["status"] == Status.WORKING.value]
        return working if order_ref is None else [one for one in working if one["order_ref"] == order_ref]

    def _available(self) -> int:
        """Cash, less what shares that are sold short are to be bought back for, at the price of their last fill."""
        short = (-n * self._state.get("last", {}).get(name, 0) for name, n in self._state["held"].items() if n < 0)
        return self._state["cash"] - sum(short)

    def _moment(self, session: dt.date, step: int) -> Moment:
        at = self._close[session] - dt.timedelta(minutes=STEP_MINUTES * (self._steps + 1 - step))
        return Moment(session, step, step > self._steps, at)

    def _forget(self, session: dt.date) -> None:
        past = bisect_right(self._sessions, session)
        first = self._sessions[max(past - KEPT_SESSIONS, 0)].isoformat()
        working = Status.WORKING.value
        self._state["orders"] = [o for o in self._state["orders"] if o["status"] == working or o["session"] >= first]
        self._state["fills"] = [row for row in self._state["fills"] if row["session"] >= first]

    def _next(self) -> int:
        self._state["numbers"] = self._state.get("numbers", 0) + 1
        return int(self._state["numbers"])

    def _call(self, what: str, of: str = "") -> bool:
        """Count a call; whether its answer is lost after it acted. Raises NoAnswer where it is lost before."""
        self._state["calls"] += 1
        draw = self._chance(what, of)
        if draw < self._faults.lost_answers / 2:
            self._save()
            raise NoAnswer(f"dry run: no answer to {what} {of}".rstrip())
        return draw < self._faults.lost_answers

    def _chance(self, *what: str) -> float:
        """A number in [0, 1) of this call."""
        return self._drawn(str(self._state["calls"]), *what)

    def _drawn(self, *what: str) -> float:
        text = "|".join((str(self._faults.seed), *what)).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8]) / 2.0**64

    def _save(self) -> None:
        if self._lasting:
            files.write_json(self._path, self._state)


def _of_order(order: Order) -> dict[str, Any]:
    return {
        "order_ref": order.order_ref,
        "kind": order.kind.value,
        "tif": order.tif.value,
        "quantity": order.quantity,
        "stop_distance": order.stop_distance,
        "parent": order.parent,
        "session": order.session.isoformat(),
    }


def _seen(one: dict[str, Any]) -> Seen:
    price = one["trigger"] if one["kind"] == Kind.STOP else one["limit"]
    units = one["quantity"] if one["status"] == Status.WORKING.value else None
    return Seen(one["order_ref"], one["perm_id"], Status(one["status"]), price, units)


def _executed(row: dict[str, Any]) -> Executed:
    known = {name: row[name] for name in Executed._fields}
    days = {"session": dt.date.fromisoformat(row["session"]), "at_utc": dt.datetime.fromisoformat(row["at_utc"])}
    return Executed(**{**known, **days})
