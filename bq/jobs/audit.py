"""`make audit`: does any feature know the future? One line a feature, on the screen, in a CSV and on a page."""

from typing import Any

import polars as pl

from bq.audit import leaks
from bq.audit.leaks import Audit
from bq.core import files, paths
from bq.core.scalars import day
from bq.jobs import permuted
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.strategies import store
from bq.strategies.events import weakest_source
from bq.workbench import audited, page, plots, screen
from bq.workbench.phrases import counted

ROWS = 18  # features shown on a screen


def main(request: Request) -> None:
    """Audit the features that the parameters name, on the events of today's market."""
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.namespace):
        data = store.market_data(settings)
        events = store.collect(strategy, settings, data).events
    depth = leaks.BEFORE_A_GATE._replace(shown=True) if request.quick else leaks.WHOLE
    found = leaks.audit(events, data, strategy, settings, depth=depth)
    table = audited.by_feature(found)
    name = f"{day(events['session'].max())}_{settings.namespace}"
    folder = paths.outputs() / "audits"
    files.write_text(folder / f"{name}.csv", table.write_csv())
    target = folder / f"{name}.html"
    title = f"{settings.namespace} · {counted(len(found.lines), 'feature')} audited"
    parts: list[tuple[str, list[Any]]] = [
        ("Which features are accused", [audited.verdict(found), plots.table(table)]),
        ("How labels overlap", [audited.of_labels(found.labels)]),
        ("How to read this", [audited.HOW, audited.LIMITS]),
    ]
    if request.permute:
        parts.append(("The same bars in another order", permuted.parts(request, data, folder / f"{name}_permuted.csv")))
    page.write(target, title=title, source=weakest_source(events), parts=parts)
    screen.show("\n".join([f"{screen.BOLD}{title}{screen.PLAIN}", *_shown(found, table)]))
    screen.show(f"report      {screen.shown(target)}\ntable       {screen.shown(target.with_suffix('.csv'))}")


def _shown(found: Audit, table: pl.DataFrame) -> list[str]:
    """What fits a screen: the accused with their reasons, then the features that go with outcomes most."""
    lines = [f"{screen.RED if found.accused else ''}{audited.verdict(found)}{screen.PLAIN if found.accused else ''}"]
    lines += [f"  {line.feature}: {audited.told(line)}" for line in found.accused[:ROWS]]
    short = ["feature", "within", "within error", "+1", "+5", "between", "shuffled", "past"]
    kinds = pl.Series("verdict", ["leaks" if line.accusations else audited.CLEAN for line in found.lines])
    names = pl.DataFrame({"feature": [line.feature for line in found.lines]}).with_columns(kinds)
    by = pl.col("within").abs()
    strongest = table.select(short).join(names, on="feature").sort(by, descending=True, nulls_last=True)
    left = max(ROWS - len(found.accused[:ROWS]), 5)
    more = len(table) - left
    rest = [f"and {counted(more, 'more feature')}"] if more > 0 else []
    return [*lines, audited.of_labels(found.labels), "", repr(plots.table(strongest.head(left))), *rest]
