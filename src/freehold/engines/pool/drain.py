"""Waiting until an engine is idle, so that it can be stopped without a failed request."""

from __future__ import annotations

import asyncio
import re
import time

from freehold.engines import keys
from freehold.late import aiohttp
from freehold.types.endpoint import Endpoint

FOLLOW_SECONDS = 2.0
"""By then the senders of requests know the new address."""
LONGEST_SECONDS = 600.0
LOOK_SECONDS = 0.25
UNKNOWN_SECONDS = 30.0
"""How long an engine without metrics is given."""
_WORK = re.compile(
    r"^\S*?:?(?:requests_processing|requests_deferred|num_requests_running|num_requests_waiting)"
    r"(?:\{[^}]*\})?\s+([0-9.eE+]+)",
    re.MULTILINE,
)


async def wait_until_idle(endpoint: Endpoint) -> None:
    """Return when the engine was idle twice in a row, or after `LONGEST_SECONDS`."""
    began = time.monotonic()
    await asyncio.sleep(FOLLOW_SECONDS)
    quiet = 0
    while time.monotonic() - began < LONGEST_SECONDS:
        work = await requests_in_flight(endpoint)
        if work is None and time.monotonic() - began > UNKNOWN_SECONDS:
            return
        quiet = quiet + 1 if work == 0 else 0
        if quiet == 2:
            return
        await asyncio.sleep(LOOK_SECONDS)


async def requests_in_flight(endpoint: Endpoint) -> int | None:
    """Requests an engine answers or queues, by its metrics; 0 for one that is gone, None when it reports none."""
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{endpoint.base_url}/metrics", headers=keys.headers(endpoint)) as reply,
        ):
            text = await reply.text()
    except aiohttp.ClientConnectorError:
        return 0
    except (aiohttp.ClientError, TimeoutError):
        return None
    values = _WORK.findall(text)
    return round(sum(map(float, values))) if values else None
