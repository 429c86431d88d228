"""Tokens by who answered: only what was not asked of the incumbent is of the candidate's endpoints."""

from datetime import timedelta

from tests.workflows.shift.shifting import START, trace

from freehold.store import open_store
from freehold.store.search.answered import AnsweredTokens, answered_by_candidate
from freehold.types.trace import Usage


def test_sums_are_by_endpoint_of_own_whole_answers_of_the_time(tmp_path):
    usage = Usage(prompt_tokens=10, completion_tokens=3)
    counted = {"arm": "candidate", "usage": usage}
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        assert answered_by_candidate(store.database, since=START) == []
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
            ]
        )
        found = answered_by_candidate(store.database, since=START - timedelta(hours=1))
    assert found == [AnsweredTokens("local", 3, 20, 6), AnsweredTokens("incumbent", 1, 10, 3)]
