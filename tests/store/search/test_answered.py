"""Tokens by who answered: only what was not asked of the incumbent is of the candidate's endpoints."""

import contextlib
import sqlite3
from datetime import timedelta

import pytest
from tests.store.search.copies import copied
from tests.workflows.shift.shifting import START, trace

from freehold.store import open_store
from freehold.store.care.erase import erase_traces
from freehold.store.search import indexing
from freehold.store.search.traffic import AnsweredTokens, answered_by_candidate, traffic
from freehold.types.trace import Usage


def test_sums_are_by_endpoint_of_own_whole_answers_of_the_time(tmp_path):
    usage = Usage(prompt_tokens=10, completion_tokens=3)
    counted = {"arm": "candidate", "usage": usage}
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        assert answered_by_candidate(store.database, since=START, until=START) == []
        store.add_traces(
            [
                trace(1, **counted, endpoint="local"),
                trace(2, **counted, endpoint="local"),
                trace(3, arm="candidate", endpoint="local"),  # its tokens were not told
                trace(4, **counted, endpoint="incumbent"),
                trace(5, **counted, endpoint="incumbent", fallback="timeout"),
                trace(6, **counted, endpoint="local", status=503),
                trace(7, **counted, endpoint="local", parent_id="p"),
                trace(8, usage=usage, endpoint="incumbent"),
                trace(-7200, **counted, endpoint="local"),
                trace(-40 * 86_400, **counted, endpoint="local"),
            ]
        )
        indexing.catch_up(store.database)
        # In stretches of five minutes, and of hours.
        for since, local in ((START - timedelta(hours=1), 3), (START - timedelta(days=3), 4)):
            found = answered_by_candidate(store.database, since=since, until=START + timedelta(minutes=1))
            assert found == [
                AnsweredTokens("local", local, 10 * local - 10, 3 * local - 3),
                AnsweredTokens("incumbent", 1, 10, 3),
            ]


@pytest.mark.parametrize("how", ["backup", "restored", "words lost"])
def test_what_was_counted_is_not_counted_again(store, url, tmp_path, how):
    """Each of these makes the index again; and a trace that is written twice, erased or corrected stays one request."""
    usage = Usage(prompt_tokens=10, completion_tokens=3)
    kept = [trace(number, arm="candidate", usage=usage, endpoint="local") for number in range(1, 6)]
    store.add_traces(kept)
    indexing.catch_up(store.database)
    store.add_traces(kept[:2])
    store.replace_trace(kept[0])
    erase_traces(store.database, [kept[4].id])
    indexing.catch_up(store.database)
    address = copied(store, url, tmp_path, how)
    if how == "words lost":
        with contextlib.closing(sqlite3.connect(tmp_path / "copy.sqlite")) as raw, raw:
            raw.executescript("DROP TABLE IF EXISTS trace_words; DROP TRIGGER IF EXISTS trace_words_gone")
    with open_store(address) as other:
        assert indexing.catch_up(other.database)
        for days in (0, 3, 30):
            since, until = START - timedelta(days=days), START + timedelta(hours=1)
            found = answered_by_candidate(other.database, since=since, until=until)
            assert found == [AnsweredTokens("local", 5, 50, 15)]
            assert traffic(other.database, since=since, until=until).candidate.requests == 5
