"""Whether an endpoint is asked by the Responses API itself or by the chat API, decided for each request.

State (a stored answer that the next request goes on from) is where it was made. So the route's incumbent, or the
endpoint of a model without a route, is asked natively where it has the API. Another endpoint is so only where a request
neither uses nor leaves state: by the chat API its answer gets an id that tells it apart.
"""

from __future__ import annotations

import msgspec

from freehold.gateway.http.request import Request
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX
from freehold.gateway.proxy.state import WorkerState
from freehold.types.endpoint import Endpoint
from freehold.wire.responses_request import is_stateless


async def as_spoken(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, request: Request
) -> Endpoint:
    """An endpoint as it is asked a request of the Responses API: its capability says how."""
    capabilities = endpoint.capabilities
    if endpoint.api != "openai" or not (capabilities.responses or capabilities.responses_unknown):
        return endpoint
    native: bool | None = True
    if capabilities.responses_unknown:
        pass_credentials = not state.keys.required
        native = await state.spoken.responses(endpoint, request.headers, pass_credentials=pass_credentials)
    if native is None:
        # Not known: clients that asked this host before get what it says to their own words.
        native = endpoint.forward_client_key
    if native and not _keeps_state(exchange, endpoint):
        native = len(exchange.body) <= INLINE_BYTES_MAX and is_stateless(exchange.body)
    if native is capabilities.responses:
        return endpoint
    decided = msgspec.structs.replace(capabilities, responses=native, responses_unknown=False)
    return msgspec.structs.replace(endpoint, capabilities=decided)


def _keeps_state(exchange: ProxyExchange, endpoint: Endpoint) -> bool:
    """Whether what clients stored is at this endpoint."""
    return exchange.route is None or endpoint.name == exchange.route.incumbent.endpoint
