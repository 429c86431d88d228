from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from tests.store.examples import NOON, trace

from freehold.store.search.counts import (
    MIDDLE_S,
    MOST_TOKENS,
    SHORT_S,
    add_answered,
    add_counts,
)
from freehold.store.search.indexing import catch_up
from freehold.store.tables import answered_counts, trace_counts
from freehold.types.trace import Usage


def test_short_stretches_are_let_go_after_a_day_and_long_ones_stay(store):
    def requests(width):
        with store.database.reading() as connection:
            query = select(func.sum(trace_counts.c.requests)).where(trace_counts.c.width_s == width)
            return connection.execute(query).scalar()

    old = [trace(number, source="gateway") for number in range(3)]
    new = [trace(9, source="gateway", at=NOON + timedelta(days=2))]
    with store.database.writing() as connection:
        add_counts(connection, old)
        add_counts(connection, old)
        add_counts(connection, [])
    assert requests(SHORT_S) == 6
    with store.database.writing() as connection:
        add_counts(connection, new)
    assert (requests(SHORT_S), requests(3600)) == (1, 7)


def test_what_a_clock_that_is_ahead_wrote_takes_nothing_of_the_last_day_away(store):
    now = datetime.now(UTC)
    some = [
        trace(number, source="gateway", arm="candidate", at=at)
        for number, at in enumerate((now - timedelta(hours=1), now + timedelta(days=400)))
    ]
    with store.database.writing() as connection:
        for one in some:
            add_counts(connection, [one])
            add_answered(connection, [one])
        for table in (trace_counts, answered_counts):
            query = select(func.sum(table.c.requests)).where(table.c.width_s == MIDDLE_S)
            assert connection.execute(query).scalar() == 2


def test_what_a_broken_upstream_counts_does_not_stop_the_index(store):
    """More than a database keeps, once added up: every search after it would fail."""
    many = Usage(prompt_tokens=(1 << 63) - 1, completion_tokens=(1 << 63) - 1)
    store.add_traces(trace(one, source="gateway", arm="candidate", usage=many) for one in range(3))
    assert catch_up(store.database)
    store.add_traces([trace(9, source="gateway", arm="candidate", usage=many)])
    assert catch_up(store.database)
    with store.database.reading() as connection:
        for table in (trace_counts, answered_counts):
            query = select(func.sum(table.c.requests), func.sum(table.c.prompt_tokens))
            requests, tokens = connection.execute(query.where(table.c.width_s == MIDDLE_S)).one()
            assert (requests, tokens) == (4, 4 * MOST_TOKENS)
