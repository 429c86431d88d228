from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.store.examples import NOON, trace

from freehold.store.search.counts import NO_TIME, SHORT_S, add_counts, time_class
from freehold.store.tables import trace_counts


@pytest.mark.parametrize(
    ("total_ms", "expected"),
    [
        (None, NO_TIME),
        (0.0, NO_TIME),
        (-1.0, NO_TIME),
        (1.0, 0),
        (9.99, 19),
        (10.0, 20),
        (0.5, -7),
        (1000.0, 60),
    ],
)
def test_classes_of_time(total_ms, expected):
    assert time_class(total_ms) == expected


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
