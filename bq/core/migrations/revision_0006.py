"""An attempt keeps what it was made of, by which the triggers of the next one are judged.

Null for an attempt of before: it is not known, so the next `make retrain` runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("attempts", sa.Column("state", sa.JSON))
