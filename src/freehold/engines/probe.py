"""Small questions to an engine over HTTP: is it up, does it answer, what does it say about itself."""

from __future__ import annotations

from typing import Any

from freehold.late import aiohttp

PROBE_SECONDS = 10.0


async def get_json(url: str, *, headers: dict[str, str] | None = None, seconds: float = PROBE_SECONDS) -> Any:
    """The JSON of a GET. Raises `aiohttp.ClientError`, `TimeoutError` or `ValueError`."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as reply:
        reply.raise_for_status()
        return await reply.json(content_type=None)


async def alive(url: str, *, seconds: float = PROBE_SECONDS) -> bool:
    """Whether anything answers a GET with status 200."""
    try:
        await get_json(url, seconds=seconds)
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return False
    return True


class ProbeError(Exception):
    """An engine answered a probe, but not with a completion. `retry` says whether it may yet."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


async def complete(
    base_url: str,
    model: str,
    *,
    path: str = "/v1/chat/completions",
    seconds: float,
    headers: dict[str, str] | None = None,
) -> None:
    """Ask for one real token (or one embedding). Raises `ProbeError`, `aiohttp.ClientError` or `TimeoutError`."""
    body: dict[str, Any] = {"model": model, "input": "Hi"}
    if path != "/v1/embeddings":
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{base_url}{path}", json=body, headers=headers) as reply,
    ):
        text = await reply.text()
        if reply.status != 200:
            raise ProbeError(f"{reply.status}: {text[:300]}", retry=reply.status in (429, 500, 502, 503))
