"""What must hold before a client sees a candidate's answer; where it does not, the next target is sent.

Covered: answers and tool arguments against the schema the request carries (`structured_output`), asked for once more
with the engine constrained to it; prompts that do not fit the context, as the engine counts them with its own tokenizer
(llama.cpp, vLLM and remote APIs report this themselves; Ollama would truncate the prompt and is asked beforehand).
Not covered: other servers that silently truncate a prompt; do not put such an endpoint behind a route.
"""

from __future__ import annotations

import msgspec

from freehold.gateway.http.response import TransportError, UpstreamResponse
from freehold.gateway.http.upstreams import upstream_failure
from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy import spend, structured_output
from freehold.gateway.proxy.exchange import Attempt, ProxyExchange
from freehold.gateway.proxy.preparer import NOT_PREPARED
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX
from freehold.gateway.proxy.structured_output import request_of_call, told_as_call
from freehold.types.endpoint import Endpoint
from freehold.wire.errors import THREAD_NOT_FOUND, ApiError, clients_fault
from freehold.wire.output_schema import is_held
from freehold.wire.responses import HOSTED_TOOL, NEEDS_STATE

_CONTEXT_SIGNS = (
    b"context_length_exceeded",
    b"exceed_context_size",
    b"context length",
    b"context size",
    b"prompt is too long",
    b"too large to process",
)
_TOO_LONG = "prompt is too long"
_PROMPTS: dict[ApiKind, str] = {"responses": "input", "embeddings": "input", "completions": "prompt"}
# An error says what it is about within this.
_ERROR_BYTES_MAX = 64 * 1024
CONTEXT_STATUSES = frozenset((400, 413, 422))


class NextTarget(Exception):
    """The client has nothing yet, and the next target is to be tried. The text says why."""


NOT_HELD = ("other_api", NEEDS_STATE, HOSTED_TOOL)
"""Why a request is not put to an endpoint: what its API has no word for, state that another host keeps, a tool that
runs there."""


def why_not_held(error: ApiError) -> str:
    """Why a request cannot be put to an endpoint, as it is counted."""
    if error.code in NOT_PREPARED:
        return "not_prepared"
    if error.code == THREAD_NOT_FOUND:
        return NEEDS_STATE
    return error.code if error.code in (NEEDS_STATE, HOSTED_TOOL) else "other_api"


async def read_all(endpoint: Endpoint, response: UpstreamResponse) -> bytes:
    """The rest of a response's body. Raises `UpstreamFailure`."""
    try:
        return await response.read_all()
    except TransportError as error:
        raise upstream_failure(endpoint, error) from error


async def contract_of(exchange: ProxyExchange) -> structured_output.OutputContract | None:
    """What a request says about the form of its answer. Raises `ApiError` where that is too long."""
    kind, body = exchange.api_route.kind, exchange.body
    if len(body) <= INLINE_BYTES_MAX:
        return structured_output.contract_of(kind, body, exchange.peek)
    if not exchange.wants_form:
        return None
    _, (contract,) = await exchange.state.reader.do("contract", kind, body)
    return msgspec.msgpack.decode(contract, type=structured_output.OutputContract | None)


def may_break_schema(exchange: ProxyExchange, endpoint: Endpoint) -> bool:
    """Whether an engine here may answer past the schema of a request, because its grammar does not hold all of that, or
    without the call of a tool that a request demands."""
    body = exchange.body
    if endpoint.engine_kind.is_rented:
        return False
    if len(body) > INLINE_BYTES_MAX:
        return not exchange.form_held
    if b'"json_schema"' not in body and b'"tool_choice"' not in body:
        return False
    contract = structured_output.contract_of(exchange.api_route.kind, body, exchange.peek)
    if contract is None:
        return False
    if contract.demanded is not None and endpoint.engine_kind.ignores_tools_unsaid:
        return True
    return contract.form is not None and not is_held(contract.schema)


async def enforce_contract(
    attempt: Attempt, contract: structured_output.OutputContract, response: UpstreamResponse, data: bytes
) -> bytes:
    """An answer that meets its contract: this one, or a second one with the engine constrained to the schema.

    Raises `NextTarget`, or at the `last` one `ApiError`.
    """
    exchange, endpoint = attempt.exchange, attempt.endpoint
    state = exchange.state

    async def judge(data: bytes) -> structured_output.ContractViolation | None:
        violation = await state.checker.violation(
            exchange.api_route.kind, endpoint, contract, data, streamed=response.is_stream
        )
        if violation is not None and violation.undecided:
            count("undecided")
        return violation

    def count(outcome: str) -> None:
        state.meters.count("freehold_guard_events", exchange.route_name, "schema", outcome)

    violation = await judge(data)
    if violation is None:
        count("held")
        return data
    constrained, as_json = None, False
    # What cannot be checked once cannot be checked twice; and a long request is not taken apart on the loop.
    if not violation.undecided and len(attempt.body) <= INLINE_BYTES_MAX:
        as_json = violation.uncalled and endpoint.engine_kind.ignores_tools_unsaid
        if as_json and endpoint.capabilities.json_schema:
            constrained = request_of_call(contract, attempt.body)
        else:
            constrained = structured_output.constrained_request(contract, violation, endpoint, attempt.body)
    if constrained is not None and await _may_be_asked_again(attempt, response, data):
        count("retried")
        second = await state.upstreams.post(endpoint, attempt.path, attempt.headers, constrained)
        try:
            data = await read_all(endpoint, second)
        finally:
            second.close()
        if second.status >= 300:
            spend.release(exchange)
        if second.status < 300 and second.is_stream == response.is_stream:
            if as_json and len(data) <= INLINE_BYTES_MAX:
                data = told_as_call(contract, data, streamed=second.is_stream)
            violation = await judge(data)
            if violation is None:
                count("held_constrained")
                return data
    count("refused" if attempt.last else "fallback")
    if not attempt.last:
        raise NextTarget("schema")
    raise ApiError(502, f"the answer breaks its output contract: {violation.why}", code="schema_violation")


async def _may_be_asked_again(attempt: Attempt, response: UpstreamResponse, data: bytes) -> bool:
    """Whether a spend cap lets an endpoint give a further answer; the first one has its price."""
    exchange = attempt.exchange
    if not exchange.capped:
        return True
    spend.bill_rejected(exchange, attempt.endpoint, response.status, data)
    try:
        await spend.reserve(exchange, attempt.endpoint, exchange.upstream_model)
    except ApiError:
        return False
    return True


def is_context_error(status: int, body: bytes) -> bool:
    """Whether an endpoint reports that the prompt does not fit."""
    head = body[:_ERROR_BYTES_MAX].lower()
    return status in (*CONTEXT_STATUSES, 500) and any(sign in head for sign in _CONTEXT_SIGNS)


def check_context_error(attempt: Attempt, status: int, body: bytes) -> None:
    """Raise where an endpoint says that the prompt does not fit: `NextTarget`, or at the `last` one `ApiError`."""
    if not is_context_error(status, body):
        return
    exchange, outcome = attempt.exchange, "refused" if attempt.last else "fallback"
    attempt.exchange.state.meters.count("freehold_guard_events", exchange.route_name, "context", outcome)
    if not attempt.last:
        raise NextTarget("context")
    raise _context_error(exchange.api_route.kind, body)


def check_clients_fault(attempt: Attempt, body: bytes) -> None:
    """Raise for what an engine here calls its own fault (500) and is one of the request, which must not have the engine
    taken from others: `NextTarget`, or at the `last` one `ApiError`."""
    fault = clients_fault(body[:_ERROR_BYTES_MAX])
    if fault is None and not is_context_error(500, body):
        return
    attempt.exchange.state.breaker(attempt.endpoint.name).record_success()
    if fault is None:
        check_context_error(attempt, 500, body)
    elif attempt.last:
        raise fault
    else:
        raise NextTarget("other_api")


def may_be_truncated(endpoint: Endpoint, body: bytes) -> bool:
    """Whether an endpoint may truncate a prompt. A token has at least one byte, so a short body always fits."""
    return endpoint.engine_kind.cuts_prompts and len(body) > (endpoint.context_tokens or 0) > 0


async def check_fits(attempt: Attempt) -> None:
    """Ask Ollama whether it would truncate a prompt. It caches what it read, so the request itself costs little more.

    Raises what `check_context_error` raises, and `UpstreamFailure`.
    """
    state, endpoint = attempt.exchange.state, attempt.endpoint
    _, (probe,) = await state.reader.do("probe", None, attempt.body)
    response = await state.upstreams.post(endpoint, "/api/chat", attempt.headers, probe)
    try:
        answer = await read_all(endpoint, response)
    finally:
        response.close()
    check_context_error(attempt, response.status, answer)


def _context_error(kind: ApiKind, body: bytes) -> ApiError:
    """The same in the words of the client's API, which Anthropic's clients know by how it begins."""
    try:
        error = msgspec.json.decode(body if len(body) <= _ERROR_BYTES_MAX else b"{}")["error"]
        message = error["message"] if isinstance(error, dict) else error
    except (msgspec.DecodeError, KeyError, TypeError):
        message = "the prompt does not fit the model's context"
    if kind == "messages" and not str(message).startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"
    param = _PROMPTS.get(kind, "messages")
    return ApiError(400, str(message), code="context_length_exceeded", param=param)
