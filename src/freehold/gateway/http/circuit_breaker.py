"""A circuit breaker for an endpoint that keeps failing."""

from __future__ import annotations

import logging

log = logging.getLogger("freehold.gateway")
FORGOTTEN_S = 300.0
"""A pause ends after this long whatever a health check says: some endpoints answer requests and not the check."""
_KEYS_ENOUGH = 2


class CircuitBreaker:
    """Tells whether an endpoint that others can answer for is passed over.

    What one client sends can make an endpoint answer with errors, so errors alone open it only where several keys had
    them; failed connections do by themselves. Where `failures` in a row came of one key, and after each pause, a health
    check decides (`wants_check`, `judge`): never a client's request. Times are seconds of `time.monotonic`.
    """

    __slots__ = ("_check_from_s", "_endpoint", "_failures", "_in_a_row", "_keys", "_pause_s", "open_since_s")

    def __init__(self, endpoint: str, *, failures: int, pause_s: float) -> None:
        self._endpoint = endpoint
        self._failures = failures
        self._pause_s = pause_s
        self._in_a_row = 0
        self._keys: set[str | None] = set()
        self._check_from_s = 0.0
        self.open_since_s: float | None = None

    def record_success(self) -> None:
        """The endpoint answered: close."""
        if self._in_a_row:
            if self.open_since_s is not None:
                log.warning("endpoint %s answers again", self._endpoint)
            self._in_a_row = 0
            self._keys.clear()
            self._check_from_s = 0.0
            self.open_since_s = None

    def record_failure(self, now_s: float, *, key: str | None, reached: bool) -> None:
        """A request failed; `reached` says whether the endpoint may have seen it, `key` whose it was."""
        self._in_a_row += 1
        if len(self._keys) < _KEYS_ENOUGH:
            self._keys.add(key)
        if self._in_a_row >= self._failures and (not reached or len(self._keys) >= _KEYS_ENOUGH):
            # One that could not even be reached is checked at once: nothing but that was the matter.
            self._check_from_s = now_s + self._pause_s if reached else now_s
            self._open(now_s)

    def wants_check(self, now_s: float) -> bool:
        """Whether a health check is due to say how the endpoint is."""
        return self._in_a_row >= self._failures and now_s >= self._check_from_s

    def judge(self, now_s: float, *, answers: bool) -> None:
        """Take over what a health check said."""
        if answers or (self.open_since_s is not None and now_s > self.open_since_s + FORGOTTEN_S):
            self.record_success()
        else:
            self._open(now_s)

    def _open(self, now_s: float) -> None:
        if self.open_since_s is None:
            log.warning(
                "endpoint %s failed %d times in a row: passed over where another can answer",
                self._endpoint,
                self._in_a_row,
            )
            self.open_since_s = now_s
