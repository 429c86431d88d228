"""The nursery, in this test's own process: runners are forked, reused and replaced."""

import socket
import threading

import pytest
from tests.bounded.jobs import JOBS

from freehold.bounded.nursery import Head, receive, send, serve

pytestmark = pytest.mark.process


def test_a_runner_is_reused_until_it_is_ended():
    left, right = socket.socketpair()
    thread = threading.Thread(target=serve, args=(JOBS, right))
    thread.start()

    def ask(job, *parts):
        send(left, Head([*map(len, parts)], job, 0.3, 20.0), parts)
        return receive(left)

    first = ask("say")[1]
    assert ask("say")[1] == first
    head, parts = ask("backtrack")
    assert (head.outcome, parts) == ("time", [])
    assert ask("say")[1] != first
    assert ask("unknown")[0].why == "KeyError"
    # The runner has a copy of this end, which no other process than a test has.
    left.shutdown(socket.SHUT_RDWR)
    left.close()
    thread.join(10)
    assert not thread.is_alive()
    right.close()
