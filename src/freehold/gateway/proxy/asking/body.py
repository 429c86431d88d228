"""The body that an endpoint is sent for a request, and what the request says of the answer's form."""

from __future__ import annotations

import functools

import msgspec

from freehold.gateway.proxy import deferral, structured_output
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX, UpstreamBody, is_sent_as_it_came
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import Translation
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire.output_schema import is_held
from freehold.wire.responses_request import names_own

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
        exchange.capturing or bool(exchange.metered),
        asks_logprobs=asks_logprobs,
        checked=exchange.route is None or exchange.route.validate == "here",
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
