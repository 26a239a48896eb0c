"""Where a command listens: a port of this machine's loopback, unless told otherwise."""

import ipaddress

from bq.core.errors import BadParameters

LOOPBACK = "127.0.0.1"


def is_local(host: str) -> bool:
    """Whether a host is reached by this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def taken(host: str, port: int, error: OSError) -> BadParameters:
    """That nothing can listen there, as a sentence."""
    return BadParameters(f"HOST={host} PORT={port}: must be free to listen at, but {error.strerror or error}.")
