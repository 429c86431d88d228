"""Records, traces, routes with their history, counters, steps."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "records",
        sa.Column("seq", _SEQUENCE, sa.Identity(), primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("made_from", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("kind", "id", name="records_kind_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "traces",
        sa.Column("seq", _SEQUENCE, sa.Identity(), primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("route", sa.String),
        sa.Column("completeness", sa.String, nullable=False),
        sa.Column("parent_id", sa.String),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("traces_at", "traces", ["at"])
    op.create_index("traces_route", "traces", ["route", "seq"])
    op.create_index("traces_parent", "traces", ["parent_id"])
    op.create_table(
        "routes",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "route_history",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("verdict_id", sa.String),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_index("route_history_name", "route_history", ["name", "revision"])
    op.create_table(
        "counters",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "steps",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("inputs_hash", sa.String, nullable=False),
        sa.Column("outputs", sa.LargeBinary, nullable=False),
        sa.Column("finished_at", sa.BigInteger, nullable=False),
    )
