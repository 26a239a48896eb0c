"""Overviews as kept: computed again where the records that they are of have changed."""

import sqlalchemy as sa

from bq import strategies
from bq.core import db, files
from bq.core.namespace import Namespace
from bq.core.settings import Settings
from bq.monitoring import kept, observed, overview
from bq.monitoring.overview import Overview
from bq.monitoring.records import outcomes, scans
from bq.serving import registry

VERSION = 1  # of how an overview is computed


def current(namespace: Namespace, settings: Settings) -> Overview:
    """The overview of a namespace, from its file where that is of the records as they are.

    Raises BQError where the database cannot be asked, BadData where the deployed model is damaged.
    """
    file, state = kept.path(namespace, kept.DECISIONS), _state(namespace, settings)
    known = kept.read(Overview, file)
    if known is not None and known.state == state:
        return known
    found = overview.of(observed.of(strategies.of(settings), settings), namespace, state=state)
    kept.write(found, file)
    return found


def _state(namespace: Namespace, settings: Settings) -> str:
    """What an overview is computed from, as a digest: rows are only added, but for whether a scan is late."""
    own, counts = str(namespace), sa.func.sum(sa.case((scans.c.late.is_(sa.false()), 1), else_=0))
    scanned = sa.select(sa.func.max(scans.c.scan_id), sa.func.count(), counts).where(scans.c.namespace == own)
    known = sa.select(sa.func.count()).select_from(outcomes).where(outcomes.c.namespace == own)
    with db.engine().connect() as connection:
        rows = [*connection.execute(scanned).one(), connection.execute(known).scalar_one()]
    tiers = (namespace.champion, namespace.second)
    deployed = [found.model_id if (found := registry.pointer_or_none(tier)) else None for tier in tiers]
    return files.digest([VERSION, rows, deployed, settings.model_dump(mode="json")])
