"""How long clients may keep a worker waiting, and what follows for a worker that leaves. All in seconds."""

from __future__ import annotations

HEAD_WITHIN_S = 15.0
BODY_STALLS_S = 60.0
BODY_WITHIN_S = 300.0
"""A body must be whole within this, however steadily it comes."""
IDLE_S = 75.0
UNREAD_S = 300.0
"""A client that has read nothing of its answer for this long is given up."""
LINGER_S = 2.0
"""After an answer to a request that was not read to its end: how long the connection stays open."""


def leaves_within_s(drain_s: float) -> float:
    """The longest that a worker takes to leave: an answer under way ends in `drain_s`, its connection then lies idle as
    long as any may, and a request that comes on it in the last moment gets `drain_s` too."""
    return drain_s + IDLE_S + drain_s
