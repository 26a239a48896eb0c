"""What the database should know of the models and runs in a home, and does not: lost, or another one is asked."""

import contextlib
import os

from bq.core.errors import BadData, BQError
from bq.runs import Run
from bq.runs.record import Job, Status
from bq.serving import registry
from bq.workbench.phrases import counted

JUDGED = (Status.DEPLOYED, Status.KEPT)


def told(made: list[Run]) -> list[str]:
    """A sentence for each champion and for the runs that the database does not know; one where it cannot be read."""
    judged = [run.record.run_id for run in made if run.record.job == Job.RETRAIN and run.record.status in JUDGED]
    namespaces = registry.namespaces()
    if not judged and not namespaces and not os.environ.get("BQ_DATABASE_URL"):
        return []
    from bq.serving import journal, ledger

    try:
        changes = journal.changes()
        deployed = {(row["namespace"], row["model_id"]) for row in changes}
        known = {"attempts": {row["run_id"] for row in ledger.every_attempt()}, "looks": ledger.of_gates()}
    except BQError as error:
        return [f"{error} Champions and runs stand by themselves: `make restore` brings the database back."]
    newest = {row["namespace"]: row["model_id"] for row in reversed(changes)}
    said = [
        f"{key}: champion.json, but the database says that {model_id} was deployed: `make rollback` or retrain."
        for key, model_id in sorted(newest.items())
        if model_id != registry.NONE and key not in map(str, namespaces)
    ]
    for namespace in namespaces:
        with contextlib.suppress(BadData, OSError):
            found = registry.pointer(namespace)
            if found and (str(namespace), found.model_id) not in deployed:
                earlier = found.previous or "the rule score"
                said.append(
                    f"{namespace}: the database has no deployment of {found.model_id}; a rollback goes by "
                    f"champion.json, to {earlier}."
                )
    for what, ids in known.items():
        if lost := [run_id for run_id in judged if run_id not in ids]:
            said.append(
                f"the database has no {what} of {counted(len(lost), 'run')} (the newest is {lost[0]}): the gate "
                "counts fewer looks than there were. `make restore` brings it back."
            )
    return said
