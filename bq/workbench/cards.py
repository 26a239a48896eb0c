"""Decisions that are traded, one below the other: what to type in, what can become of it, and why."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Card(NamedTuple):
    """One decision."""

    event_id: str
    head: str
    lines: Sequence[str]
    reason: str  # empty where all share it
    explained: str  # address of the page with everything behind it; empty where there is none yet


class Cards:
    """Shows cards on a page, and as lines elsewhere. Each can be linked to by `address` of its event."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = list(cards)

    def _repr_html_(self) -> str:
        return "".join(map(_html, self._cards))

    def __repr__(self) -> str:
        return "\n".join(
            f"{card.event_id[:ID]}  {line}" if place == 0 else f"{'':<{ID}}  {line}"
            for card in self._cards
            for place, line in enumerate(card.lines)
        )


ID = 8  # characters of an event's id: `make explain` takes the beginning


def address(event_id: str) -> str:
    """Where the card of an event stands on its page.

    >>> address("5d0fc50f9a2e")
    '#event-5d0fc50f9a2e'
    """
    return f"#event-{event_id}"


def _html(card: Card) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in card.lines)
    head = f'<p class="head">{escape(card.head)}</p>'
    reason = f"<p class='reason'>{escape(card.reason)}</p>" if card.reason else ""
    short = escape(card.event_id[:ID])
    more = (
        f'<a href="{escape(card.explained)}">everything behind it</a>'
        if card.explained
        else f"<code>make explain EVENT={short}</code> shows everything behind it"
    )
    return (
        f'<div class="order" id="{escape(address(card.event_id)[1:])}">{head}{lines}{reason}'
        f'<p class="meta">event {short} · {more}</p></div>'
    )
