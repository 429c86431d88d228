"""How long a worker that leaves may take."""

from freehold.gateway.deadlines import HEAD_WITHIN_S, IDLE_S, leaves_within_s


def test_a_worker_that_leaves_waits_for_the_last_request_of_an_idle_connection():
    assert leaves_within_s(0) == IDLE_S > HEAD_WITHIN_S
    # An answer under way, the silence after it, and a request in the last moment of that.
    assert leaves_within_s(30) == 30 + IDLE_S + 30
