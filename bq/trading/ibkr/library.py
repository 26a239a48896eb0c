"""The client library: `ib_insync`, or its successor `ib_async` with the same names where only that is installed."""

try:
    import ib_insync as ib
    from ib_insync import util
    from ib_insync.wrapper import RequestError
except ImportError:
    import ib_async as ib  # type: ignore[no-redef]
    from ib_async import util  # type: ignore[no-redef]
    from ib_async.wrapper import RequestError  # type: ignore[no-redef]

__all__ = ["RequestError", "ib", "util"]
