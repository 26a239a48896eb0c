"""Namespaces as values, kinds instead of sentences, scans with their decisions, and the records of monitoring.

What 0.1 said in text is read here for the last time: the namespace of a trial, a rollback, the run of a deployment.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

UTC = sa.DateTime(timezone=True)
RUN = re.compile(r"(?P<reason>.*) \((?P<run_id>\d{8}T\d{6}Z_[^()]+)\)", re.DOTALL)  # a deployment's reason in 0.1


def upgrade() -> None:
    """Change the tables of 0.1 and make those of monitoring; every row stays."""
    _attempts()
    _deployments()
    _trials()
    _scans()
    _monitoring()


def _attempts() -> None:
    """A number in the order of time, which was the only order so far."""
    op.drop_index("ix_attempts_strategy", "attempts")
    op.rename_table("attempts", "attempts_0001")
    op.create_table(
        "attempts",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("finished_utc", UTC, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("decision", sa.String, nullable=False),
        sa.Column("model_id", sa.String),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("verdict", sa.JSON, nullable=False),
        sa.UniqueConstraint("run_id", name="uq_attempts"),
    )
    op.create_index("ix_attempts_namespace", "attempts", ["namespace"])
    op.execute(
        "insert into attempts (run_id, namespace, finished_utc, fingerprint, decision, model_id, events, verdict) "
        "select run_id, strategy, finished_utc, fingerprint, decision, model_id, events, verdict "
        "from attempts_0001 order by finished_utc, run_id"
    )
    op.drop_table("attempts_0001")


def _deployments() -> None:
    """What kind of change it was and which run made it, out of its reason."""
    op.add_column("deployments", sa.Column("kind", sa.String))
    op.add_column("deployments", sa.Column("run_id", sa.String))
    table = sa.table("deployments", *map(sa.column, ("id", "kind", "run_id", "reason")))
    connection = op.get_bind()
    for number, text in connection.execute(sa.select(table.c.id, table.c.reason)).all():
        found = RUN.fullmatch(text)
        values = found.groupdict() if found else {}
        values["kind"] = "rolled_back" if text.startswith("rollback") else "deployed"
        connection.execute(table.update().where(table.c.id == number).values(values))
    with op.batch_alter_table("deployments") as batch:
        batch.alter_column("kind", existing_type=sa.String(), nullable=False)
        batch.alter_column("strategy", existing_type=sa.String(), existing_nullable=False, new_column_name="namespace")
        batch.drop_index("ix_deployments_strategy")
    op.create_index("ix_deployments_namespace", "deployments", ["namespace"])


def _trials() -> None:
    """The parts of the namespace: 0.1 wrote strategy[-simulated][-success]. Which symbols is not known."""
    parts = {"strategy": sa.String, "name": sa.String, "simulated": sa.Boolean, "tier": sa.Integer}
    for name, kind in parts.items():
        op.add_column("trials", sa.Column(name, kind))
    op.add_column("trials", sa.Column("symbols", sa.JSON))
    op.execute(
        "update trials set strategy = replace(replace(shelf, '-success', ''), '-simulated', ''), "
        "name = replace(replace(shelf, '-success', ''), '-simulated', ''), simulated = shelf like '%-simulated%', "
        "tier = case when shelf like '%-success' then 2 else 1 end"
    )
    with op.batch_alter_table("trials") as batch:
        for name, kind in parts.items():
            batch.alter_column(name, existing_type=kind(), nullable=False)
        batch.drop_index("ix_trials_shelf")
        batch.drop_column("shelf")  # and with it the constraint that it was part of
        batch.create_unique_constraint("uq_trials", [*parts, "kind", "study", "number"])
    op.create_index("ix_trials_strategy", "trials", ["strategy"])


def _scans() -> None:
    """Decisions belong to a scan; those of 0.1 to one of their namespace and time."""
    op.drop_index("ix_decisions_strategy", "decisions")
    op.rename_table("decisions", "decisions_0001")
    op.create_table(
        "scans",
        sa.Column("scan_id", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("decided_utc", UTC, nullable=False),
        sa.Column("late", sa.Boolean),
        sa.Column("parameters", sa.JSON),
        sa.Column("data_hash", sa.String),
        sa.Column("code_digest", sa.String),
        sa.Column("champion_id", sa.String),
        sa.Column("second_id", sa.String),
        sa.Column("champion_fault", sa.String),
        sa.Column("second_fault", sa.String),
    )
    op.create_index("ix_scans_namespace", "scans", ["namespace"])
    op.create_table(
        "decisions",
        sa.Column("scan_id", sa.Integer, sa.ForeignKey("scans.scan_id", name="fk_decisions_scans"), primary_key=True),
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("t0", UTC),
        sa.Column("t1_due", UTC),
        sa.Column("variant", sa.String),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("model_id", sa.String),
        sa.Column("predicted_class", sa.String),
        sa.Column("probabilities", sa.JSON),
        sa.Column("expected", sa.Float),
        sa.Column("confidence", sa.Float),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("weight", sa.Float),
        sa.Column("rank", sa.Integer),
        sa.Column("should_trade", sa.Boolean, nullable=False),
        sa.Column("in_sample", sa.Boolean),
        sa.Column("outside_support", sa.JSON),
        sa.Column("why_not_champion", sa.String),
        sa.Column("why_not_second", sa.String),
        sa.Column("track", sa.String),
        sa.Column("remark", sa.String),
    )
    op.create_index("ix_decisions_event_id", "decisions", ["event_id"])
    model = "case when tier in (1, 2) and model <> 'model' then model end"  # else a word, no id
    op.execute(
        "insert into scans (namespace, session, decided_utc, champion_id, second_id) "
        f"select strategy, min(session), decided_utc, max(case when tier = 1 then {model} end), "
        f"max(case when tier = 2 then {model} end) "
        "from decisions_0001 group by strategy, decided_utc order by decided_utc, strategy"
    )
    op.execute(
        "insert into decisions (scan_id, event_id, symbol, session, tier, model_id, predicted_class, expected, "
        "confidence, score, should_trade, remark) "
        f"select scan_id, event_id, symbol, old.session, tier, {model}, predicted_class, expected_roi, confidence, "
        "score, should_trade, reason from decisions_0001 old "
        "join scans on namespace = strategy and scans.decided_utc = old.decided_utc"
    )
    op.drop_table("decisions_0001")


def _monitoring() -> None:
    op.create_table(
        "outcomes",
        sa.Column("namespace", sa.String, primary_key=True),
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("t1", UTC, nullable=False),
        sa.Column("outcome", sa.Float, nullable=False),
        sa.Column("label", sa.String),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("data_hash", sa.String, nullable=False),
        sa.Column("recorded_utc", UTC, nullable=False),
    )
    op.create_table(
        "checks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("model_id", sa.String),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("blocks", sa.Integer),
        sa.Column("value", sa.Float),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("threshold", sa.Float),
        sa.Column("p", sa.Float),
        sa.Column("alarm", sa.Boolean, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_index("ix_checks_namespace", "checks", ["namespace"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("opened_utc", UTC, nullable=False),
        sa.Column("closed_utc", UTC),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("statement", sa.String, nullable=False),
        sa.Column("check_ids", sa.JSON, nullable=False),
        sa.Column("acknowledged_utc", UTC),
    )
    op.create_index("ix_alerts_namespace", "alerts", ["namespace"])
