"""`make upload`: the bars of data/raw/bars/, checked and partitioned, to where `BQ_DATA_ROOT` says."""

from bq import market
from bq.core import objects, paths
from bq.core.errors import BadData, BadParameters
from bq.jobs.request import Request, value
from bq.market.sources import files, rooted
from bq.workbench import screen
from bq.workbench.phrases import counted

CHOICES = ("SYMBOLS", "FROM", "TO")


def main(request: Request) -> None:
    """Check all bars as `make check-data` does, and put them in the place of those that were brought before.

    Raises BadData where a run would refuse them: then nothing is changed there.
    """
    place = objects.raw_bars()
    if place is None:
        raise BadParameters(
            f"{objects.VARIABLE} must be set to where the bars are to go, such as {objects.EXAMPLE}, but is not."
        )
    if given := [name for name in CHOICES if value(name)]:
        raise BadParameters(
            f"upload: all bars of data/raw/bars/ go up together, but {given[0]} chooses some. Leave it out here: what "
            "is read of them is chosen whenever they are read."
        )
    settings = request.settings.market.model_copy(
        update={"source": "files", "symbols": None, "start": None, "end": None, "chains": False}
    )
    batch = files.read(settings, paths.raw_bars())
    data = market.judged(batch, settings)
    if reasons := market.refusals(data, settings):
        raise BadData(f"{reasons}\n`BQ_DATA_ROOT= make check-data` lists every finding. Nothing was uploaded.")
    rooted.bring(batch, place, calendar=settings.calendar)
    screen.show(
        f"uploaded    {counted(len(batch.rows), 'row')} of {counted(batch.rows['symbol'].n_unique(), 'symbol')}, "
        f"{counted(len(data.bars), 'valid bar')} to {data.bars['session'].max()}: {place}"
    )
    screen.show('they are read by: make retrain SET="market.source=files"')
