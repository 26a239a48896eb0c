"""ButterQuant Workbench: events in, gated models out.

    import bq

    events = bq.events("butterfly")          # one row a decision, as a polars frame
    training = bq.train(events)              # purged walk-forward; .oos and .folds are frames
    bq.score(events)                         # what the champion (or the rule score) decides
    bq.champion("butterfly")                 # the record of the deployed model, or None
    bq.runs.latest().report                  # the newest run
    bq.tearsheet(bq.runs.latest())           # what its model earned by month, symbol and kind, and its drawdowns
    bq.tell.score_deciles(events)            # a figure, the sentence that reads it, and `.table`, what it was made of

Names are loaded when first used, so that `import bq` is cheap.
"""

import importlib
import warnings

from bq.core import lazy
from bq.core.errors import interruptible

# jsonschema, of whatever reads a notebook (plotly too, for its first figure): 38 grammars for a kind of address that
# none has, 1.4 s in each process
lazy.put_off("rfc3987_syntax", "is_valid_syntax")
# tqdm, of a library that asks for its notebook bar: in red below whichever cell comes first, of a bar that none shows
warnings.filterwarnings("ignore", "IProgress not found")

_HOME = {
    "features": "bq.strategies.registered",
    "plots": "bq.workbench.plots",
    "runs": "bq.runs",
    "tell": "bq.workbench.tell",
}

__all__ = [
    "backtest",
    "candidate",
    "champion",
    "check_parameters",
    "comparison",
    "cross_validate",
    "drift",
    "events",
    "features",
    "leaks",
    "observed",
    "params",
    "plots",
    "refused",
    "regimes",
    "runs",
    "save",
    "score",
    "tearsheet",
    "tell",
    "train",
    "train_success",
    "tune",
    "tune_weights",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return importlib.import_module(_HOME[name])
    if name in __all__:
        with interruptible(f"bq.{name}"):
            verb = getattr(importlib.import_module("bq.surface"), name)
        return interruptible(f"bq.{name}")(verb)
    raise AttributeError(f"module 'bq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
