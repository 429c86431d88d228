"""A circuit breaker for an endpoint that keeps failing."""

from __future__ import annotations

import logging

log = logging.getLogger("freehold.gateway")
FORGOTTEN_S = 300.0
"""What failed is news for so long after its pause: an endpoint that nothing asked since may be well again."""


class CircuitBreaker:
    """Stops requests to an endpoint that failed `failures` times in a row, for `pause_s`, then lets one try.

    Where the endpoint could not even be reached (`unreachable`), a health check may end the pause sooner. Times are
    seconds of `time.monotonic`.
    """

    __slots__ = ("_endpoint", "_failures", "_failures_in_a_row", "_pause_s", "open_until_s", "unreachable")

    def __init__(self, endpoint: str, *, failures: int, pause_s: float) -> None:
        self._endpoint = endpoint
        self._failures = failures
        self._pause_s = pause_s
        self._failures_in_a_row = 0
        self.open_until_s = 0.0
        self.unreachable = False

    def allows(self, now_s: float) -> bool:
        """Whether a request may go out. While half open, the first one may, the next ones wait for its outcome."""
        if self.open_until_s == 0.0:
            return True
        if now_s < self.open_until_s:
            return False
        self.open_until_s = now_s + self._pause_s
        return True

    def keeps_failing(self, now_s: float) -> bool:
        """Whether the endpoint is given a pause, or would get the next one by what is known of it."""
        return self.open_until_s > 0.0 and now_s < self.open_until_s + FORGOTTEN_S

    def record_success(self) -> None:
        """The endpoint answered: close."""
        if self.open_until_s:
            log.info("endpoint %s answers again", self._endpoint)
        self._failures_in_a_row = 0
        self.open_until_s = 0.0

    def record_failure(self, now_s: float, *, reached: bool = True) -> None:
        """A request failed: open after enough in a row. `reached` says whether the endpoint may have seen it."""
        self._failures_in_a_row += 1
        self.unreachable = not reached
        if self._failures_in_a_row >= self._failures:
            if not self.open_until_s:
                log.info(
                    "endpoint %s failed %d times in a row: paused", self._endpoint, self._failures_in_a_row
                )
            self.open_until_s = now_s + self._pause_s
