"""Terms, counts and traffic over time."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.store.examples import NOON, trace
from tests.workflows.shift.shifting import START
from tests.workflows.shift.shifting import trace as later

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.store.backup import backup, restore
from freehold.store.erase import erase_traces
from freehold.store.index import MIDDLE_S, MOST_TOKENS, SHORT_S, add_counts, phrases_of, wanted_tags, words_in
from freehold.store.search import AnsweredTokens, answered_by_candidate, search, traffic
from freehold.store.tables import trace_counts
from freehold.types.trace import TraceQuery, Usage


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
        query = select(func.sum(trace_counts.c.requests)).where(trace_counts.c.width_s == MIDDLE_S)
        assert connection.execute(query).scalar() == 2


def test_what_a_broken_upstream_counts_does_not_stop_the_counts(store):
    """More than a database keeps, once added up: no trace after it would be written."""
    many = Usage(prompt_tokens=(1 << 63) - 1, completion_tokens=(1 << 63) - 1)
    store.add_traces(trace(one, source="gateway", arm="candidate", usage=many) for one in range(3))
    store.add_traces([trace(9, source="gateway", arm="candidate", usage=many)])
    with store.database.reading() as connection:
        table = trace_counts.c
        query = select(func.sum(table.requests), func.sum(table.prompt_tokens))
        assert connection.execute(query.where(table.width_s == MIDDLE_S)).one() == (4, 4 * MOST_TOKENS)


def seen(number, **changes):
    values = {"source": "gateway", "route": "r", "total_ms": 100.0, **changes}
    return trace(number, at=NOON + timedelta(seconds=number), **values)


def test_requests_are_counted_by_stretch_and_arm(store):
    store.add_traces(seen(number) for number in range(100))
    store.add_traces(seen(number, arm="candidate", status=500) for number in range(100, 130))
    store.add_traces(
        seen(number, arm="candidate", parent_id="x", fallback="timeout") for number in range(130, 150)
    )
    store.add_traces(seen(number, route="other") for number in range(150, 160))
    store.add_traces([trace(170), seen(171, route=None)])
    found = traffic(store.database, since=NOON, until=NOON + timedelta(seconds=480), route="r")
    assert (found.bucket_s, len(found.buckets)) == (10, 49)
    assert found.buckets[0].at == NOON.replace(microsecond=0)
    assert [one.incumbent for one in found.buckets[:11]] == [10] * 10 + [0]
    assert [(one.candidate, one.errors) for one in found.buckets[10:13]] == [(10, 10)] * 3
    assert sum(one.mirrored for one in found.buckets) == 20 == found.mirrored.requests
    assert (found.incumbent.requests, found.incumbent.errors, found.incumbent.fallbacks) == (100, 0, 0)
    assert (found.candidate.errors, found.mirrored.fallbacks, found.mirrored.errors) == (30, 20, 20)
    assert (found.incumbent.prompt_tokens, found.incumbent.completion_tokens) == (900, 200)
    assert found.candidate.p95_ms is None and found.incumbent.p50_ms == pytest.approx(100, rel=0.07)
    everything = traffic(store.database, since=NOON, until=NOON + timedelta(seconds=480))
    assert everything.incumbent.requests == 111  # not what was imported


@pytest.mark.parametrize(
    ("window", "width"),
    [
        (timedelta(seconds=1), 10),
        (timedelta(hours=24), 1800),
        (timedelta(days=8), 4 * 3600),
        (timedelta(days=9), 86_400),
        (timedelta(days=90), 2 * 86_400),
    ],
)
def test_a_window_of_any_length_holds_each_request_once(store, window, width):
    store.add_traces(seen(-number) for number in range(1, 50))
    found = traffic(store.database, since=NOON - window, until=NOON)
    assert found.bucket_s == width and len(found.buckets) <= 50
    inside = [number for number in range(1, 50) if found.buckets[0].at <= NOON - timedelta(seconds=number)]
    assert found.incumbent.requests == len(inside) >= 1
    assert sum(one.incumbent for one in found.buckets) == len(inside)


@pytest.mark.parametrize("text", ["", "  ", '""', "* !? \x00"])
def test_a_text_without_a_word_is_refused(text):
    with pytest.raises(UsageError, match="not a word in"):
        phrases_of(text)


@pytest.mark.parametrize("status", ["", "nope", "40", "4x", "1000", "0xx"])
def test_what_is_not_a_status_is_refused(status):
    with pytest.raises(UsageError, match="not a status"):
        wanted_tags(TraceQuery(status=status))


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_plain_text_are_those_of_any_text(text):
    assert words_in(text) == re.findall(r"[^\W_]+", text)
    assert words_in(f"{text} é") == [*words_in(text), "é"]


def test_sums_are_by_endpoint_of_own_whole_answers_of_the_time(tmp_path):
    usage = Usage(prompt_tokens=10, completion_tokens=3)
    counted = {"arm": "candidate", "usage": usage}
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        assert answered_by_candidate(store.database, since=START, until=START) == []
        store.add_traces(
            [
                later(1, **counted, endpoint="local"),
                later(2, **counted, endpoint="local"),
                later(3, arm="candidate", endpoint="local"),  # its tokens were not told
                later(4, **counted, endpoint="incumbent"),
                later(5, **counted, endpoint="incumbent", fallback="timeout"),
                later(6, **counted, endpoint="local", status=503),
                later(7, **counted, endpoint="local", parent_id="p"),
                later(8, usage=usage, endpoint="incumbent"),
                later(-7200, **counted, endpoint="local"),
                later(-40 * 86_400, **counted, endpoint="local"),
            ]
        )
        # In stretches of five minutes, and of hours.
        for since, local in ((START - timedelta(hours=1), 3), (START - timedelta(days=3), 4)):
            found = answered_by_candidate(store.database, since=since, until=START + timedelta(minutes=1))
            assert found == [
                AnsweredTokens("local", local, 10 * local - 10, 3 * local - 3),
                AnsweredTokens("incumbent", 1, 10, 3),
            ]


@pytest.mark.parametrize("how", ["backup", "restored"])
def test_a_copy_is_searched_and_what_was_counted_is_not_counted_again(store, url, tmp_path, how):
    """By a copy or by the index that it makes again; and a trace that is written twice, erased or corrected stays one
    request."""
    usage = Usage(prompt_tokens=10, completion_tokens=3)
    kept = [later(number, arm="candidate", usage=usage, endpoint="local") for number in range(1, 6)]
    store.add_traces(kept)
    store.add_traces(kept[:2])
    store.replace_trace(kept[0])
    erase_traces(store.database, [kept[4].id])
    copy = tmp_path / "copy.sqlite"
    backup(url, copy)
    if how == "restored":
        store.close()
        restore(url, copy, tmp_path / "kept.sqlite")
    with open_store(url if how == "restored" else f"sqlite:///{copy}") as other:
        found = search(other.database, TraceQuery(text="question", most=100)).traces
        assert {one.id for one in found} == {one.id for one in kept[:4]}
        for days in (0, 3, 30):
            since, until = START - timedelta(days=days), START + timedelta(hours=1)
            found = answered_by_candidate(other.database, since=since, until=until)
            assert found == [AnsweredTokens("local", 5, 50, 15)]
            assert traffic(other.database, since=since, until=until).candidate.requests == 5
