"""What keeps this program from real money: only a paper account, at a paper port, on this machine. It has no switch."""

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from bq.core.errors import BadParameters

PORTS = {7497: "TWS", 4002: "IB Gateway"}  # of paper accounts, as installed; 7496 and 4001 are those of real ones
PAPER = re.compile(r"DU[A-Z0-9]+")


class NotPaper(BadParameters):
    """What was asked for, or what answered, is not known to be a paper account on this machine. Nothing was sent."""


class Address(NamedTuple):
    """Where a paper account is reached. host : a loopback address, as a number."""

    host: str
    port: int


def address(host: str, port: int) -> Address:
    """The address to connect to.

    >>> address("localhost", 7497)
    Address(host='127.0.0.1', port=7497)

    Raises NotPaper for another machine, or for a port that is not one of `PORTS`.
    """
    known = "127.0.0.1" if host == "localhost" else host
    if not _is_loopback(known):
        raise NotPaper(
            f"`trading.ibkr.host` must be this machine (127.0.0.1), but got {host!r}. Nothing was sent. Run TWS or IB "
            "Gateway here."
        )
    if port not in PORTS:
        ports = ", ".join(f"{number} ({name})" for number, name in PORTS.items())
        raise NotPaper(
            f"`trading.ibkr.port` must be a port of a paper account, {ports}, but got {port}. Nothing was sent."
        )
    return Address(known, port)


def account(managed: Sequence[str], wanted: str | None) -> str:
    """The account to trade, of all that a login manages. wanted : None where there is one alone.

    >>> account(["DU1234567"], None)
    'DU1234567'

    Raises NotPaper unless every one of them is a paper account, or where it is not said which one is meant.
    """
    if not managed or not all(PAPER.fullmatch(name) for name in managed):
        raise NotPaper(
            f"every account of the login must be a paper account (DU…), but it manages {', '.join(managed) or 'none'}. "
            "Nothing was sent. Log TWS or IB Gateway in with the paper account's user name."
        )
    if wanted is None and len(managed) > 1:
        raise NotPaper(
            f"`trading.ibkr.account` must say which account is traded, as the login manages {', '.join(managed)}. "
            "Nothing was sent."
        )
    if wanted is not None and wanted not in managed:
        raise NotPaper(
            f"`trading.ibkr.account` must be one that the login manages ({', '.join(managed)}), but got {wanted!r}. "
            "Nothing was sent."
        )
    return wanted or managed[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
