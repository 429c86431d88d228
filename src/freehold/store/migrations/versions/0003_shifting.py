"""Sizes of traces, spending, leases, and what a rollout has learned so far."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("traces", sa.Column("size_bytes", sa.BigInteger))
    op.execute("UPDATE traces SET size_bytes = length(body)")
    op.create_table(
        "spending",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("day", sa.String, primary_key=True),
        sa.Column("nano_usd", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rollout_states",
        sa.Column("rollout", sa.String, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "rollout_windows",
        sa.Column("rollout", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("stage", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("rollout_windows_open", "rollout_windows", ["rollout", "closed", "seq"])
    op.create_table(
        "pair_scores",
        sa.Column("rollout", sa.String, primary_key=True),
        sa.Column("trace_id", sa.String, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
