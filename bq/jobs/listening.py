"""Where a command listens: a port of this machine's loopback, unless told otherwise."""

import ipaddress

from bq.core.errors import BadParameters
from bq.jobs.request import value

LOOPBACK = "127.0.0.1"


def is_local(host: str) -> bool:
    """Whether a host is reached by this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port(default: int) -> int:
    """`PORT`, or the default. Raises BadParameters for what is no port."""
    text = value("PORT") or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise BadParameters(f"PORT must be a whole number from 1 to 65535, but got {text!r}.")
    return int(text)


def taken(host: str, port: int, error: OSError) -> BadParameters:
    """That nothing can listen there, as a sentence."""
    return BadParameters(f"HOST={host} PORT={port}: must be free to listen at, but {error.strerror or error}.")
