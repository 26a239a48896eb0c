"""Where things lie. All of it hangs below one home: the checkout, or `BQ_HOME` where that is set."""

import os
from pathlib import Path

from bq.core.errors import BadParameters

CHECKOUT = Path(__file__).resolve().parents[2]


def home() -> Path:
    """The folder that holds data/, models/ and outputs/ (environment variable `BQ_HOME`, default: the checkout).

    Raises BadParameters for a URL.
    """
    given = os.environ.get("BQ_HOME") or CHECKOUT
    if "://" in str(given):
        raise BadParameters(
            "BQ_HOME must be a folder of this machine, but is a URL: models, reports and the database are files here. "
            "Set BQ_DATA_ROOT to the URL, for bars and events, BQ_DATABASE_URL for records that a team shares, and "
            "BQ_HOME to a folder or not at all."
        )
    return Path(given).resolve()


def raw_bars() -> Path:
    """Where users put CSV and Parquet files of daily bars."""
    return home() / "data" / "raw" / "bars"


def raw_chains() -> Path:
    """Where users put CSV and Parquet files of option quotes."""
    return home() / "data" / "raw" / "chains"


def raw_announced() -> Path:
    """Where users put the days that companies announce."""
    return home() / "data" / "raw" / "announced.csv"


def raw_features() -> Path:
    """Where users put Python files that register features of their own."""
    return home() / "data" / "raw" / "features"


def events(strategy: str) -> Path:
    """The event store of one strategy."""
    return home() / "data" / "events" / strategy


def models(namespace: object) -> Path:
    """Where the models of a namespace are stored."""
    return home() / "models" / str(namespace)


def outputs() -> Path:
    """One folder a run, and the index page over them."""
    return home() / "outputs"


def notebooks() -> Path:
    """The notebooks as committed (they belong to the code, not to the home)."""
    return CHECKOUT / "notebooks"


def parameters(strategy: str) -> Path:
    """The default parameter file of one strategy."""
    return CHECKOUT / "parameters" / f"{strategy}.yaml"


def from_anywhere(path: Path) -> Path:
    """A path or, where it is relative and leads nowhere, the same from the checkout: notebooks run in their folder."""
    here = CHECKOUT / path
    return here if not path.exists() and here.exists() else path


def inside(path: Path, folder: Path) -> bool:
    """Whether `path`, links resolved, lies inside `folder`."""
    return path.resolve().is_relative_to(folder.resolve())
