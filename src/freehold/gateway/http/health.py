"""How endpoints are: what a health check says, whether one keeps failing, and whether it has OpenAI's Responses API."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import msgspec

from freehold.gateway.http.headers import is_credential
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams
from freehold.types.endpoint import Endpoint
from freehold.wire.base_url import target

WITHIN_S = 5.0
"""An endpoint that takes longer to answer a health check counts as one that does not."""
KEPT_S = 1.0
"""Probes come from everywhere and need no key: an endpoint is not asked more often than this."""
_KNOWN_FOR_S = 30.0
_CHAT_PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


class Health(NamedTuple):
    """What a check found. `why` says what is the matter; empty where nothing is."""

    answers: bool
    why: str = ""


class HealthChecks:
    """Checks of a worker's endpoints, each kept for `KEPT_S`; who asks meanwhile gets the one that is running.

    `trouble` says why requests for an endpoint cannot be prepared here, or None.
    """

    def __init__(self, upstreams: Upstreams, trouble: Callable[[Endpoint], Awaitable[str | None]]) -> None:
        self._upstreams = upstreams
        self._trouble = trouble
        self._kept: dict[str, tuple[float, Endpoint, asyncio.Task[Health]]] = {}

    async def all(self, endpoints: Iterable[Endpoint], *, wait_s: float = WITHIN_S) -> dict[str, Health]:
        """How each endpoint is, by name, as far as that can be told within `wait_s`."""
        checks = {one.name: self._checking(one) for one in endpoints}
        if checks:
            # What is broken off does not end the checks that others wait for.
            await asyncio.wait(checks.values(), timeout=wait_s)
        late = Health(False, f"it has not answered a health check within {wait_s:g} s")
        return {name: check.result() if check.done() else late for name, check in checks.items()}

    def known(self) -> dict[str, bool]:
        """What the last checks found, of those that ended within half a minute."""
        oldest_s = time.monotonic() - _KNOWN_FOR_S
        return {
            name: check.result().answers
            for name, (at_s, _, check) in self._kept.items()
            if at_s > oldest_s and check.done()
        }

    def _checking(self, endpoint: Endpoint) -> asyncio.Task[Health]:
        now = time.monotonic()
        kept = self._kept.get(endpoint.name)
        if kept is None or kept[1] != endpoint or (kept[2].done() and now - kept[0] > KEPT_S):
            task = asyncio.create_task(self._check(endpoint))
            kept = self._kept[endpoint.name] = (now, endpoint, task)
        return kept[2]

    async def _check(self, endpoint: Endpoint) -> Health:
        """Ask for its models; where it lists none, whether it knows the path of its API.

        A key that it refuses is a fault where the endpoint's own was sent; clients' keys are not known before they ask.
        """
        if (trouble := await self._trouble(endpoint)) is not None:
            return Health(False, trouble)
        path = "/v1/models"
        try:
            status = await self._upstreams.probe(endpoint, path, timeout_s=WITHIN_S)
            if status in (404, 405):
                chat = _CHAT_PATHS[endpoint.api]
                # An empty question costs nothing: one that knows the path refuses it.
                status = await self._upstreams.probe(endpoint, chat, timeout_s=WITHIN_S, body=b"{}")
                if status in (404, 405):
                    return Health(False, f"its address seems wrong: {status} at {path} and at {chat}")
        except UpstreamFailure as error:
            return Health(False, str(error))
        if status in (401, 403) and endpoint.has_own_key:
            what = f"key in {endpoint.api_key_env}" if endpoint.api_key_env else "credentials that it is sent"
            return Health(False, f"it refuses the {what} ({status})")
        if status >= 500:
            return Health(False, f"it answers with the status {status}")
        return Health(True)


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


_REFUSES_WITHIN_S = 2.0
"""An endpoint that takes longer to refuse an empty request is asked again."""
_SPOKEN_FOR_S = 600.0
"""Servers are renewed: after this an endpoint is asked again."""
_AGAIN_AFTER_S = 5.0
_PATH = "/v1/responses"
_ANSWER_BYTES_MAX = 64 * 1024
_NO_SUCH_PATH = frozenset((404, 405, 501))
_REFUSED = frozenset((400, 413, 415, 422))
_SENT_TOO = frozenset(("user-agent", "openai-beta"))


class SpokenApis:
    """What a worker found out of its endpoints; who asks meanwhile waits for the question that is under way."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._found: dict[tuple[str, str], tuple[float, bool]] = {}
        self._open: dict[tuple[str, str], float] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[bool | None]] = {}

    async def responses(
        self, endpoint: Endpoint, client_headers: Iterable[tuple[str, str]], *, pass_credentials: bool
    ) -> bool | None:
        """Whether an endpoint has the Responses API; None where that cannot be found out now.

        It is asked with the client's credentials where a request of the client's would be.
        """
        key, now = (endpoint.name, endpoint.base_url), time.monotonic()
        found = self._found.get(key)
        if found is not None and now < found[0]:
            return found[1]
        if now < self._open.get(key, 0.0):
            return None
        task = self._asking.get(key)
        if task is None:
            sent = [pair for pair in client_headers if is_credential(pair[0]) or pair[0] in _SENT_TOO]
            task = asyncio.create_task(self._ask(endpoint, sent, pass_credentials=pass_credentials))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # A client that leaves does not end the question that others wait for.
        return await asyncio.shield(task)

    async def _ask(
        self, endpoint: Endpoint, sent: list[tuple[str, str]], *, pass_credentials: bool
    ) -> bool | None:
        key = (endpoint.name, endpoint.base_url)
        status, body = 0, b""
        try:
            headers = self._upstreams.request_headers(endpoint, sent, pass_credentials=pass_credentials)
            headers.append(("content-type", "application/json"))
            place = target(endpoint.base_url, _PATH, api=endpoint.api)
            status, body = await self._upstreams.ask(
                endpoint, place, headers, b"{}", within_s=_REFUSES_WITHIN_S, most_bytes=_ANSWER_BYTES_MAX
            )
        except UpstreamFailure:
            pass
        has = has_responses(status, body)
        if has is not None:
            self._found[key] = (time.monotonic() + _SPOKEN_FOR_S, has)
        elif status not in (401, 403):  # another client's key may tell
            self._open[key] = time.monotonic() + _AGAIN_AFTER_S
        return has


def has_responses(status: int, body: bytes) -> bool | None:
    """What the answer to an empty request says: the path is there, it is not, or (None) neither is known."""
    if status in _REFUSED:
        return True
    if status in _NO_SUCH_PATH:
        # A proxy may say 404 for a model that was not named.
        return _misses_the_model(body)
    if 200 <= status < 300:
        return _field(body, "object") == "response"
    return None


def _misses_the_model(body: bytes) -> bool:
    error = _field(body, "error")
    return isinstance(error, dict) and (
        error.get("param") == "model" or str(error.get("code")) in ("model_not_found", "missing_model")
    )


def _field(body: bytes, name: str) -> object:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return value.get(name) if isinstance(value, dict) else None
