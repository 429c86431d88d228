"""Traffic is counted by days as well as by hours, and by who answered on the candidate's side: the counts so far are
made of hours, and of the traces of the last week. The newest trace that a gateway recorded has an index: without, a
million traces were read for it."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("""
        INSERT INTO trace_counts (width_s, begins_s, route, arm, outcome, time_class,
                                  requests, fallbacks, prompt_tokens, completion_tokens)
        SELECT 86400, begins_s - begins_s % 86400, route, arm, outcome, time_class,
               SUM(requests), SUM(fallbacks), SUM(prompt_tokens), SUM(completion_tokens)
        FROM trace_counts WHERE width_s = 3600
        GROUP BY begins_s - begins_s % 86400, route, arm, outcome, time_class
    """)
    recorded = sa.text("source = 'gateway'")
    op.create_index("traces_recorded", "traces", ["at"], sqlite_where=recorded, postgresql_where=recorded)
    op.create_table(
        "answered_counts",
        sa.Column("width_s", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("begins_s", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("endpoint", sa.String, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    )
    # What is not in the index now is counted when it is taken in: all, where 0010 or a copy of the store emptied it.
    op.execute(
        "INSERT INTO counters SELECT 'answers_counted', value FROM counters WHERE name = 'traces_indexed'"
    )
    # A console looks a week back at most. A trace of a clock that was ahead does not say when that week ends.
    now = int(time.time() * 1e6)
    for width_s, kept_s in ((300, 26 * 3600), (3600, 8 * 86_400)):
        begins = f"f.at / 1000000 - f.at / 1000000 % {width_s}"
        op.execute(f"""
            INSERT INTO answered_counts
            SELECT {width_s}, {begins}, COALESCE(f.endpoint, ''), COUNT(*),
                   SUM(COALESCE(f.prompt_tokens, 0)), SUM(COALESCE(f.completion_tokens, 0))
            FROM trace_facets f JOIN traces t ON t.seq = f.seq
            WHERE f.at >= (SELECT MAX(at) FROM trace_facets WHERE at <= {now}) - {kept_s} * CAST(1000000 AS BIGINT)
                  AND f.arm = 'candidate' AND NOT f.error AND f.fallback IS NULL
                  AND t.parent_id IS NULL AND t.source = 'gateway'
            GROUP BY {begins}, COALESCE(f.endpoint, '')
        """)
