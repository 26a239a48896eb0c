"""The chain over the ledger's entries: each has a digest of its content and of the entry before it.

So an entry that was edited, deleted or moved is found, and a run that keeps the digest of the newest entry at its end
(`Standing`) shows whether the ledger that it saw is still the beginning of this one. Entries of version 0.1 have no
digest: the first one that has is made with a digest of all of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bq.core import db, files
from bq.runs.record import Standing

FIELDS = (
    "strategy",
    "name",
    "simulated",
    "tier",
    "kind",
    "study",
    "number",
    "parameters",
    "symbols",
    "recipe",
    "events",
    "shown",
)


def content(row: Mapping[str, Any]) -> str:
    """Digest of what an entry says, whenever it was made. row : by the columns of `ledger.looks`."""
    told = {name: row[name] for name in FIELDS} | {"series": files.sha256(row["series"])}
    return files.digest(json.loads(db.as_json(told)), 64)  # as it is stored


def link(before: str, row: Mapping[str, Any]) -> str:
    """Digest of an entry: of the one before it, of its content and of its time."""
    return files.digest([before, content(row), row["at_utc"].isoformat()], 64)


def beginning(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the first link is made with: a digest of the entries before the chain, empty where there are none."""
    return files.digest([[row["id"], content(row)] for row in rows], 64) if rows else ""


def faults(rows: Sequence[Mapping[str, Any]], head: Standing | None) -> Iterator[str]:
    """Where the chain is broken, a sentence each.

    rows : all entries in their order. head : what the database says of the newest one, None where it says nothing.
    """
    old, linked = ([row for row in rows if (row["digest"] is None) == before] for before in (True, False))
    before = beginning(old)
    for place, row in enumerate(linked):
        if link(before, row) != row["digest"]:
            where = f"entry {row['id']} ({row['kind']} of {row['study']})"
            earlier = "the entries before the chain" if place == 0 and old else "an entry before it"
            yield f"ledger: {where} must follow from the entry before it, but it, or {earlier}, was edited or deleted."
        before = row["digest"]
    known = Standing(entries=len(linked), digest=before if linked else "")
    if head is None or head != known:
        counted = "nothing" if head is None else f"{head.entries:,} entries"
        yield f"ledger: it must end with its newest entry ({counted} by its head), but has {known.entries:,} entries."
