"""Traces are searchable: an index next to them, filled behind the traces, and counts of traffic."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    place = sa.ForeignKey("traces.seq", ondelete="CASCADE")
    op.create_table(
        "trace_facets",
        sa.Column("seq", sequence, place, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("endpoint", sa.String),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error", sa.Boolean, nullable=False),
        sa.Column("fallback", sa.String),
        sa.Column("user_name", sa.String),
        sa.Column("api_key", sa.String),
        sa.Column("conversation_id", sa.String),
        sa.Column("upstream_id", sa.String),
        sa.Column("ttft_ms", sa.Float),
        sa.Column("total_ms", sa.Float),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql")),
    )
    op.create_index("trace_facets_at", "trace_facets", ["at", "seq"])
    op.create_table(
        "trace_counts",
        sa.Column("width_s", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("begins_s", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("route", sa.String, primary_key=True),
        sa.Column("arm", sa.String, primary_key=True),
        sa.Column("outcome", sa.String, primary_key=True),
        sa.Column("time_class", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("fallbacks", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("trace_facets_words", "trace_facets", ["words"], postgresql_using="gin")
    else:
        # SQLite follows foreign keys only where each connection asks for it; a trigger cannot be forgotten.
        op.execute(
            "CREATE TRIGGER trace_facets_gone AFTER DELETE ON traces "
            "BEGIN DELETE FROM trace_facets WHERE seq = old.seq; END"
        )
