"""Messages over a socket pair."""

import socket
import threading
import time

import pytest

from freehold.bounded.nursery import Head, receive, send


def test_heads_and_parts_arrive_as_they_were_sent():
    left, right = socket.socketpair()
    parts = [b"a" * 3_000_000, b"", b"\x00"]
    head = Head([len(part) for part in parts], job="j", cpu_s=1.5)
    thread = threading.Thread(target=send, args=(left, head, parts))
    thread.start()
    assert receive(right) == (head, parts)
    thread.join()
    left.close()
    assert receive(right) is None
    right.close()


def test_half_a_message_is_an_end_and_silence_is_late():
    left, right = socket.socketpair()
    left.sendall(b"\x00\x00")
    with pytest.raises(TimeoutError):
        receive(right, deadline_s=time.monotonic() + 0.05)
    left.close()
    right.settimeout(None)
    assert receive(right) is None
    right.close()
