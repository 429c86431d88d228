"""Which file and which row of it a trace is from, and when a newer version of the row took its place."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    # Traces of earlier versions have neither: the next import of their file recognises them by its name.
    op.add_column("traces", sa.Column("origin", sa.String))
    op.add_column("traces", sa.Column("row_key", sa.String))
    op.add_column("traces", sa.Column("replaced_at", sa.BigInteger))
    for name in ("origin", "row_key"):
        imported = sa.text("origin IS NOT NULL")
        op.create_index(f"traces_{name}", "traces", [name], sqlite_where=imported, postgresql_where=imported)
