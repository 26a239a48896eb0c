"""The schema of version 0.1, which made its tables without migrations: what is there of them stays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables that are missing."""
    _table(
        "attempts",
        "strategy",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("finished_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("decision", sa.String, nullable=False),
        sa.Column("model_id", sa.String),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("verdict", sa.JSON, nullable=False),
    )
    _table(
        "deployments",
        "strategy",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("model_id", sa.String, nullable=False),
        sa.Column("previous", sa.String),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("at_utc", sa.DateTime(timezone=True), nullable=False),
    )
    _table(
        "trials",
        "shelf",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("shelf", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("study", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("series", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("shelf", "kind", "study", "number"),
    )
    _table(
        "decisions",
        "strategy",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("decided_utc", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("predicted_class", sa.String),
        sa.Column("expected_roi", sa.Float),
        sa.Column("confidence", sa.Float),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("should_trade", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )


def _table(name: str, index: str, *columns: sa.Column | sa.Constraint) -> None:
    op.create_table(name, *columns, if_not_exists=True)
    op.create_index(f"ix_{name}_{index}", name, [index], if_not_exists=True)
