"""How an endpoint is asked: in which API, with what body, and which of its errors it is not asked again for."""

from __future__ import annotations

import functools

import msgspec

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import UpstreamResponse
from freehold.gateway.proxy import deferral, structured_output
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX, UpstreamBody, is_sent_as_it_came
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import Translation
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire.output_schema import is_held
from freehold.wire.responses import is_stateless, names_own

_REMEMBERED_BYTES_MAX = 16 * 1024


async def upstream_request_body(
    state: WorkerState,
    exchange: ProxyExchange,
    endpoint: Endpoint,
    target: Target,
    translation: Translation | None,
) -> tuple[bytes, bool]:
    """The body for an endpoint, and whether it requests usage that the client did not."""
    peek = exchange.peek
    asks_logprobs = deferral.asks_logprobs(exchange)
    model = target.model or exchange.model
    named = exchange.api_route.kind == "responses" and names_own(exchange.body)
    if not asks_logprobs and not named and is_sent_as_it_came(endpoint, model, peek, translation):
        return exchange.body, False
    how = UpstreamBody(
        exchange.api_route.path,
        endpoint,
        target,
        exchange.model,
        exchange.model_seen_at(endpoint, target),
        exchange.route is not None,
        peek.stream is True,
        bytes(peek.stream_options),
        exchange.capturing or exchange.metered,
        asks_logprobs=asks_logprobs,
    )
    hide_usage, (body,) = await state.reader.do("upstream", how, exchange.body)
    served = endpoint.served(target.model or exchange.model)
    if served is None or served.preparation is None:
        return body or exchange.body, hide_usage
    path = exchange.api_route.path if translation is None else translation.path
    return await state.preparer.body(endpoint, served, path, body or exchange.body), hide_usage


async def contract_of(state: WorkerState, exchange: ProxyExchange) -> structured_output.OutputContract | None:
    """What a request says about the form of its answer. Raises `ApiError` where that is too long."""
    kind, body = exchange.api_route.kind, exchange.body
    if len(body) <= INLINE_BYTES_MAX:
        return structured_output.contract_of(kind, body, exchange.peek)
    if not exchange.wants_form:
        return None
    _, (contract,) = await state.reader.do("contract", kind, body)
    return msgspec.msgpack.decode(contract, type=structured_output.OutputContract | None)


def may_break_schema(exchange: ProxyExchange, endpoint: Endpoint) -> bool:
    """Whether an engine here may answer past the schema of a request, because its grammar does not hold all of that, or
    without the call of a tool that a request demands."""
    if endpoint.engine_kind.is_rented:
        return False
    if len(exchange.body) > INLINE_BYTES_MAX:
        return not exchange.form_held
    kind, peek = exchange.api_route.kind, exchange.peek
    if endpoint.engine_kind.ignores_tools_unsaid and _demands_a_call(exchange):
        return True
    if kind == "chat":
        form = bytes(peek.response_format)
        held = _holds if len(form) <= _REMEMBERED_BYTES_MAX else _holds.__wrapped__
        return b'"json_schema"' in form and not held(form)
    if b'"json_schema"' not in exchange.body:
        return False
    contract = structured_output.contract_of(kind, exchange.body, peek)
    return contract is not None and contract.form is not None and not is_held(contract.schema)


def _demands_a_call(exchange: ProxyExchange) -> bool:
    if b'"tool_choice"' not in exchange.body:
        return False
    contract = structured_output.contract_of(exchange.api_route.kind, exchange.body, exchange.peek)
    return contract is not None and contract.demanded is not None


@functools.lru_cache(maxsize=256)
def _holds(response_format: bytes) -> bool:
    """`is_held` of a chat request's form: an application sends the same few again and again."""
    form = msgspec.json.decode(response_format)
    described = form.get("json_schema") if isinstance(form, dict) else None
    return not isinstance(described, dict) or is_held(described.get("schema"))


async def as_spoken(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, request: Request
) -> Endpoint:
    """An endpoint as it is asked a request of the Responses API: its capability says how.

    State (a stored answer that the next request goes on from) is where it was made. So the route's incumbent, or the
    endpoint of a model without a route, is asked natively where it has the API. Another endpoint is so only where a
    request neither uses nor leaves state: by the chat API its answer gets an id that tells it apart.
    """
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


def is_the_clients_to_repeat(exchange: ProxyExchange, request: Request, response: UpstreamResponse) -> bool:
    """Whether an error goes to the client although it could be asked again: after a long wait; or by the client, each
    of whose tries would else be asked as often again."""
    tries_itself = request.first_values.get("x-stainless-retry-count") is not None
    return _wants_a_long_wait(response) or tries_itself


def _wants_a_long_wait(response: UpstreamResponse) -> bool:
    wait = response.header("retry-after")
    return wait is not None and (not wait.isdecimal() or int(wait) > 1)
