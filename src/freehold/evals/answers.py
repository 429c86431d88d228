"""What came back for one request, and whose fault it is when nothing usable did."""

from __future__ import annotations

from typing import Literal

from freehold.types.deferral import SignalName
from freehold.types.record import Record
from freehold.types.trace import Usage

Fault = Literal["candidate", "infrastructure"]

# Not the other 5xx: behind a proxy that gave up, the answer may have been written and billed.
_REFUSALS = (
    "http_4", "http_503", "http_529", "refused_request", "context_overflow", "unreachable", "budget_spent",
)  # fmt: skip


class ChatAnswer(Record, frozen=True, kw_only=True):
    """One model's answer to one request. Tool calls are compact JSON, as in a dataset's samples.

    `fault` is None for an answer that can be scored. ``candidate``: the model's own doing (cut at the token
    limit, refused the request, took longer than the time limit), which scores the lowest value.
    ``infrastructure``: network, rate limit, server error after all retries, which stays unscored.
    `error` starts with a stable code.
    """

    output: str | None = None
    finish_reason: str | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    usage: Usage | None = None
    fault: Fault | None = None
    error: str | None = None
    attempts: int = 1
    signals: dict[SignalName, float] | None = None
    """How sure the model was; empty where it told nothing of that, None where it was not asked to."""

    @property
    def is_refusal(self) -> bool:
        """Whether the API did not begin to answer, which is not billed."""
        return (self.error or "").startswith(_REFUSALS)

    @property
    def keepable(self) -> bool:
        """Whether asking again would be pointless. It is not after a time-out or an outage, which may pass."""
        return self.fault is None or (
            self.fault == "candidate" and not (self.error or "").startswith("timeout")
        )
