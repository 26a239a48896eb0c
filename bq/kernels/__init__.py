"""The compiled hot loops, each held against a reference library.

numba's cache of a ufunc is two files that refer to each other. Two processes that compile at once leave a pair that
does not match, and every later call through it crashes. So whoever imports this package first compiles, alone; the
others wait. What stale code left in the cache is removed: numba does not notice a change in a function that another
inlines.
"""

import contextlib
import importlib
import importlib.metadata
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from bq.core import files

HERE = Path(__file__).parent


def _compile_once() -> None:
    cache = HERE / "__pycache__"
    sources = [files.sha256(path) for path in sorted(HERE.glob("*.py"))]
    made_by = files.digest([sources, importlib.metadata.version("numba"), sys.version])
    stamp = cache / f"compiled-{made_by}"
    if stamp.is_file():
        return
    with FileLock(Path(tempfile.gettempdir()) / f"bq-kernels-{files.digest(str(HERE))}.lock"):
        if stamp.is_file():
            return
        with contextlib.suppress(OSError):  # an installation that cannot be written to: numba caches elsewhere
            for stale in [*cache.glob("*.nb[ic]"), *cache.glob("compiled-*")]:
                stale.unlink()
        importlib.import_module("bq.kernels.options")  # its ufuncs compile when imported
        with contextlib.suppress(OSError):
            stamp.touch()


_compile_once()
