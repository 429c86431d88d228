"""The models that the endpoint lists which others go to, for the gateway's own list."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import TransportError
from freehold.gateway.http.upstreams import UpstreamFailure
from freehold.gateway.proxy.state import WorkerState
from freehold.wire.base_url import target

_WITHIN_S = 5.0
_PAGE = ("limit", "after_id", "before_id")
# OpenRouter's, the longest that is known, has half of it. Reading this much takes the loop some ten milliseconds.
_LIST_BYTES_MAX = 2 * 1024 * 1024


async def listed_elsewhere(state: WorkerState, request: Request) -> list[dict[str, Any]]:
    """Its models as it lists them, asked as this client; none where it does not answer, or in another API."""
    endpoint = state.table.others
    speaks = "anthropic" if request.header("anthropic-version") else "openai"
    if endpoint is None or endpoint.api != speaks:
        return []
    place = target(endpoint.base_url, "/v1/models", api=endpoint.api)
    query = request.query_string
    if speaks == "anthropic":
        # All of it: the page that the client asked for is cut from both lists.
        pairs = parse_qsl(query, keep_blank_values=True)
        query = urlencode([*(one for one in pairs if one[0] not in _PAGE), ("limit", "1000")])
    if query:
        keys_here = state.keys.required
        place = state.upstreams.with_query(endpoint, place, query, keys_here=keys_here)
    try:
        headers = state.upstreams.request_headers(
            endpoint, request.headers, pass_credentials=not state.keys.required
        )
        async with asyncio.timeout(_WITHIN_S):
            response = await state.upstreams.pass_on(endpoint, "GET", place, headers, None)
            try:
                body = await response.read_short(_LIST_BYTES_MAX) if response.status == 200 else None
                return [] if body is None else _listed(body)
            finally:
                await response.close()
    except (UpstreamFailure, TransportError, TimeoutError):
        return []


def _listed(body: bytes) -> list[dict[str, Any]]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return []
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        return []
    return [one for one in rows if isinstance(one, dict) and isinstance(one.get("id"), str)]
