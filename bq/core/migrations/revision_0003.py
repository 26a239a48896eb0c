"""The trial ledger becomes one of looks: with the digests of recipe and events, what was shown, and a chain of hashes.

What is there stays as it is, without a hash: it is from before the chain.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename the table and add its columns; make the head of the chain."""
    op.drop_index("ix_trials_strategy", "trials")
    op.rename_table("trials", "looks")
    with op.batch_alter_table("looks") as batch:
        batch.drop_constraint("uq_trials", type_="unique")  # an entry is followed by its correction, never replaced
        batch.add_column(sa.Column("recipe", sa.String))
        batch.add_column(sa.Column("events", sa.String))
        batch.add_column(sa.Column("shown", sa.JSON))
        batch.add_column(sa.Column("digest", sa.String))
    op.create_index("ix_looks_strategy", "looks", ["strategy"])
    op.create_index("ix_looks_study", "looks", ["study"])
    op.create_table(
        "chain_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
    )
    op.execute("insert into chain_head (id, entries, digest) values (1, 0, '')")
