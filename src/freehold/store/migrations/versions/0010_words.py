"""The index of traces is begun again: words are parted before they come to the database, and on SQLite the beginnings
of words have lists of their own. Traces are taken in again by the gateway or by the first search; counts of traffic
stay."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("TRUNCATE trace_facets")
    else:
        # First, or each row that goes would be taken out of the index by itself.
        op.execute("DROP TRIGGER IF EXISTS trace_words_gone")
        op.execute("DROP TABLE IF EXISTS trace_words")
        op.execute("DELETE FROM trace_facets")
    op.execute("UPDATE counters SET value = 0 WHERE name = 'traces_indexed'")
