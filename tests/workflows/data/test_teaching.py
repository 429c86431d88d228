"""Which captured traces may teach: the incumbent's answers, and those somebody corrected."""

from datetime import UTC, datetime

import pytest

from freehold.types.trace import Trace
from freehold.workflows.data.dataset import _teaches


@pytest.mark.parametrize(
    ("changes", "teaches"),
    [
        ({}, True),
        ({"arm": "candidate"}, False),
        ({"arm": "candidate", "gold": "refund"}, True),
        ({"parent_id": "t0", "gold": "refund"}, False),
        ({"status": 500}, False),
        ({"kind": "embeddings"}, False),
    ],
)
def test_what_teaches(changes, teaches):
    trace = Trace(
        **{
            "id": "t1",
            "at": datetime(2026, 3, 1, tzinfo=UTC),
            "source": "gateway",
            "model": "m",
            "request": {"messages": []},
            "response": {"choices": []},
            **changes,
        }
    )
    assert _teaches(trace) == teaches
