"""What must read a whole body: on the loop where the body is short, in a process with limits where it is long.

A long body costs its parser many times its size in time and memory, and a hostile one ten times as much again. Its
reading is therefore left to `freehold.bounded`: the loop goes on, and a reading that takes too much is ended and
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from freehold.bounded.pool import BoundedPool, OutOfBoundsError
from freehold.deferring.signals import asks_with
from freehold.gateway.http.request import no_room
from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy import structured_output
from freehold.gateway.proxy.deferrable import ReadAnswer, ReadRequest, read_answer, read_request
from freehold.gateway.proxy.engine_fields import check_schemas, known_fields, told_to_messages
from freehold.gateway.proxy.routing import upstream_changes
from freehold.gateway.proxy.structured_output import ContractViolation, OutputContract
from freehold.gateway.proxy.translation import API_ROUTES, Translation, translation_for, unreadable_answer
from freehold.gateway.spending import AskedBounds, bounds_of
from freehold.preparing.conversation import is_chat, prepare, question_of, unprepared
from freehold.types.endpoint import Endpoint, Example, Preparation
from freehold.types.route import Target
from freehold.wire import ollama, openai
from freehold.wire.base_url import takes_completion_limit, with_completion_limit
from freehold.wire.errors import UNREADABLE, ApiError, unambiguous
from freehold.wire.openai import Peek
from freehold.wire.output_schema import is_held
from freehold.wire.request_types import check_types, in_words_of
from freehold.wire.responses import without_own_ids
from freehold.wire.tool_choice import one_tool

# Up to this a body is read where it lies: within milliseconds, however hostile it is.
INLINE_BYTES_MAX = 256 * 1024
# A field of a request longer than this is not repeated in an answer.
_ECHO_BYTES_MAX = 16 * 1024
_CPU_S, _WALL_S, _MEMORY_BYTES = 5.0, 20.0, 1536 * 1024 * 1024
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')
_CONTRACT_BYTES_MAX = 1024 * 1024
_CHATS = frozenset(("chat", "messages", "responses"))
_NOT_ECHOED = ("messages", "input", "prompt")
_encode = msgspec.msgpack.encode


class BodyFields(msgspec.Struct, array_like=True):
    """What routing knows of a long body. `changed`: it was read into another API's words. `form_held`: an engine's
    grammar holds all of the schema that it asks an answer in, and no call of a tool is demanded."""

    model: Any = None
    stream: Any = None
    user: Any = None
    safety_identifier: Any = None
    stream_options: bytes = b""
    wants_form: bool = False
    changed: bool = False
    form_held: bool = True
    bounds: AskedBounds | None = None

    def as_peek(self) -> Peek:
        return Peek(
            model=self.model,
            stream=self.stream,
            user=self.user,
            safety_identifier=self.safety_identifier,
            stream_options=msgspec.Raw(self.stream_options),
        )


class UpstreamBody(msgspec.Struct, frozen=True, array_like=True):
    """How a request's body is made into the one an endpoint is sent.

    `asks_usage`: usage is requested where the client did not. `whole`: an answer in one piece is requested.
    `asks_logprobs`: the answer is to tell how sure it is, where the client did not ask for that itself.
    """

    path: str
    endpoint: Endpoint
    target: Target
    model: str
    seen_model: str | None
    routed: bool
    stream: bool
    stream_options: bytes
    asks_usage: bool
    whole: bool = False
    asks_logprobs: bool = False


class _Result(msgspec.Struct, array_like=True):
    """What a job tells of its result besides the bytes, or the error that the client gets."""

    value: Any = None
    status: int = 0
    message: str = ""
    code: str | None = None
    param: str | None = None


def read_body(path: str, body: bytes) -> tuple[BodyFields, list[bytes]]:
    """A long body's fields; with it the body where it changed (`unambiguous`), what is echoed, its beginning."""
    once = unambiguous(body)
    peek = openai.peek(once)
    seen = BodyFields(
        peek.model,
        peek.stream,
        _short(peek.user),
        _short(peek.safety_identifier),
        bytes(peek.stream_options),
        bytes(peek.tools) not in (b"", b"null", b"[]") or b'"json_' in body,
        once is not body,
        _is_form_held(API_ROUTES[path].kind, once, peek),
        bounds_of(once),
    )
    if len(seen.stream_options) > _ECHO_BYTES_MAX:
        raise ApiError(400, "stream_options are too long", param="stream_options")
    start = openai.conversation_start(once)
    return seen, [once if seen.changed else b"", _echo(once), start]


def _is_form_held(kind: ApiKind, body: bytes, peek: Peek) -> bool:
    if b'"json_schema"' not in body and b'"tool_choice"' not in body:
        return True
    found = structured_output.contract_of(kind, body, peek)
    if found is None:
        return True
    return found.demanded is None and (found.form is None or is_held(found.schema))


def _short(name: Any) -> str | None:
    return name if isinstance(name, str) and len(name) <= _ECHO_BYTES_MAX else None


def _echo(body: bytes) -> bytes:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    echoed: dict[str, Any] = {
        name: value
        for name, value in fields.items()
        if name not in _NOT_ECHOED and len(bytes(value)) <= _ECHO_BYTES_MAX
    }
    if bytes(fields.get("messages", b"")).startswith(b"["):
        # The last may be the beginning of the answer.
        last = msgspec.json.decode(fields["messages"], type=list[msgspec.Raw])[-1:]
        if last and b'"assistant"' in bytes(last[0]) and len(bytes(last[0])) <= _ECHO_BYTES_MAX:
            echoed["messages"] = last
    return msgspec.json.encode(echoed)


def is_sent_as_it_came(endpoint: Endpoint, model: str, peek: Peek, translation: Translation | None) -> bool:
    """Whether `upstream_body` would change nothing, whatever else a body holds: so for most of those to rented models.

    `model` is its name there. A stream may have usage requested.
    """
    kind = endpoint.engine_kind
    return (
        translation is None
        and kind.is_rented
        and kind.reads_tool_names
        and not kind.ignores_tools_unsaid
        and model == peek.model
        and peek.stream is not True
        and endpoint.served(model) is None
    )


def upstream_body(how: UpstreamBody, body: bytes) -> tuple[bool, list[bytes]]:
    """The body for an endpoint (empty where it is the client's own), and whether usage is to be hidden."""
    try:
        return _upstream_body(how, body)
    except ApiError as error:
        raise in_words_of(API_ROUTES[how.path].kind, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"a value of the request cannot be read: {error}") from None


def _upstream_body(how: UpstreamBody, body: bytes) -> tuple[bool, list[bytes]]:
    endpoint = how.endpoint
    route = API_ROUTES[how.path]
    translation = translation_for(route, endpoint)
    if translation is not None or not endpoint.engine_kind.is_rented:
        # Where its own API is spoken a rented endpoint checks this itself, in its own words.
        check_types(route.kind, body)
    changed = translation.request(body) if translation is not None else body
    if translation is None and route.kind == "responses":
        changed = without_own_ids(body)
    if translation is not None and endpoint.engine_kind.is_rented and route.kind in _CHATS:
        chat = body if endpoint.api == "anthropic" and route.kind == "chat" else changed
        check_schemas(chat)
    # A count that is translated is a request of the gateway's own making.
    if not endpoint.engine_kind.is_rented and (route.kind != "count_tokens" or translation is None):
        fields = openai.raw_fields(changed)
        known = known_fields(endpoint.engine_kind, fields)
        if len(known) != len(fields):
            changed = msgspec.json.encode(known)
    changes = upstream_changes(endpoint, how.target, how.model)
    if route.kind == "messages" and translation is not None and endpoint.api == "openai":
        changes |= told_to_messages(endpoint.engine_kind, changed, stream=how.stream and not how.whole)
    if (
        translation is not None
        and endpoint.api == "openai"
        and endpoint.engine_kind.is_rented
        and takes_completion_limit(endpoint.base_url, changes["model"])
    ):
        changed = with_completion_limit(changed)
    if how.asks_logprobs:
        changes |= asks_with(endpoint.engine_kind)
    if how.whole:
        if how.stream:
            changes["stream"] = False
            if endpoint.api == "openai":
                changes["stream_options"] = None
        return False, [openai.splice(changed, changes)]
    if changes["model"] == how.seen_model:
        del changes["model"]
    # llama.cpp silently answers in plain text where the model's chat template has no tools.
    ignores_tools = endpoint.engine_kind.ignores_tools_unsaid and not endpoint.capabilities.tools
    if not how.routed and ignores_tools and structured_output.demands_a_tool(changed):
        raise ApiError(
            400,
            f"{how.model} cannot be made to call a tool; its chat template knows none",
            code="unsupported_value",
            param="tool_choice",
        )
    if not endpoint.engine_kind.reads_tool_names and b'"tool_choice"' in changed:
        changes.update(one_tool(changed))
    hide_usage = False
    if (
        how.asks_usage
        and how.stream
        and route.kind in ("chat", "completions")
        and endpoint.api == "openai"
        and endpoint.capabilities.stream_usage
    ):
        options = with_usage(how.stream_options)
        if options is not None:
            changes["stream_options"] = options
            hide_usage = True
    if changes:
        changed = openai.splice(changed, changes)
    return hide_usage, [changed if changed is not body else b""]


def with_usage(options: bytes) -> Any:
    """Stream options that request usage; None when the client's do already, or cannot be changed."""
    if options in (b"", b"null"):
        return _INCLUDE_USAGE
    value = msgspec.json.decode(options)
    if not isinstance(value, dict) or value.get("include_usage"):
        return None
    return {**value, "include_usage": True}


def contract(kind: str, body: bytes) -> tuple[Any, list[bytes]]:
    """What a long request says about the form of its answer. Raises `ApiError` where that is long itself."""
    found = structured_output.contract_of(cast("ApiKind", kind), body, openai.peek(body))
    encoded = _encode(found)
    if len(encoded) > _CONTRACT_BYTES_MAX:
        raise ApiError(413, "the tools and schemas of the request are too long to be checked")
    return None, [encoded]


def probe(_how: None, body: bytes) -> tuple[None, list[bytes]]:
    """The request with which Ollama is asked whether a prompt fits."""
    return None, [ollama.probe_from_openai(body)]


class AnswerForm(msgspec.Struct, frozen=True, array_like=True):
    """Which translation an answer goes through. `stream`: a stream that was read whole."""

    path: str
    endpoint: Endpoint
    stream: bool = False


def client_answer(form: AnswerForm, data: bytes, asked: bytes) -> tuple[None, list[bytes]]:
    """An endpoint's answer in the words of the client's API."""
    translation = translation_for(API_ROUTES[form.path], form.endpoint)
    assert translation is not None
    if not form.stream:
        return None, [translation.answer(data, asked)]
    try:
        stream = translation.stream(asked)
        return None, [stream.feed(data) + stream.rest()]
    except UNREADABLE:
        raise unreadable_answer() from None


class PreparedBody(msgspec.Struct, frozen=True, array_like=True):
    """How a body is prepared."""

    preparation: Preparation
    found: tuple[Example, ...] = ()


def question(preparation: Preparation, body: bytes) -> tuple[str | None, list[bytes]]:
    """Why a body goes as it came (None: it is prepared), and the question in it. Raises `ApiError`
    (400) for what cannot be read."""
    try:
        asked = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError(
            400,
            "the request holds text that cannot be read, so it cannot be prepared",
            code="cannot_be_prepared",
        ) from None
    if not is_chat(asked):
        return "not_chat", [b""]
    why = unprepared(asked, preparation)
    return why, [b"" if why is not None else question_of(asked).encode(errors="replace")]


def prepared(how: PreparedBody, body: bytes) -> tuple[int, list[bytes]]:
    """How many examples are in it, and the body. Fields besides its messages stay as they came, byte for byte."""
    made = prepare(msgspec.json.decode(body), how.preparation, how.found)
    changes: dict[str, Any] = {"messages": made.body["messages"]}
    return made.examples, [openai.splice(body, changes)]


class _Step(NamedTuple):
    """A function of what to do and some bytes, and the type of what to do."""

    function: Callable[..., tuple[Any, list[bytes]]]
    how: type[Any]


_STEPS: dict[str, _Step] = {
    "read": _Step(read_body, str),
    "upstream": _Step(upstream_body, UpstreamBody),
    "contract": _Step(contract, str),
    "probe": _Step(probe, type(None)),
    "answer": _Step(client_answer, AnswerForm),
    "question": _Step(question, Preparation),
    "prepared": _Step(prepared, PreparedBody),
    "deferrable": _Step(read_request, ReadRequest),
    "signal": _Step(read_answer, ReadAnswer),
}


def _as_job(step: _Step) -> Callable[[Sequence[bytes]], list[bytes]]:
    def job(parts: Sequence[bytes]) -> list[bytes]:
        try:
            value, results = step.function(msgspec.msgpack.decode(parts[0], type=step.how), *parts[1:])
        except ApiError as error:
            return [_encode(_Result(None, error.status, error.message[:2000], error.code, error.param))]
        except RecursionError:
            return [_encode(_Result(None, 400, "the request body is nested too deeply"))]
        return [_encode(_Result(value)), *results]

    return job


JOBS = {name: _as_job(step) for name, step in _STEPS.items()}


class BodyReader:
    """Does a step where it costs the loop nothing."""

    def __init__(self) -> None:
        self._pool = BoundedPool("freehold.gateway.proxy.reading")

    async def do(self, step: str, how: Any, *parts: bytes) -> tuple[Any, list[bytes]]:
        """A step's result. Raises what the step raises, and `ApiError` for what takes too much to read."""
        if sum(map(len, parts)) <= INLINE_BYTES_MAX:
            return _STEPS[step].function(how, *parts)
        try:
            told, *results = await self._pool.run(
                step,
                [_encode(how), *parts],
                cpu_s=_CPU_S,
                wall_s=_WALL_S,
                memory_bytes=_MEMORY_BYTES,
            )
        except OutOfBoundsError as error:
            if error.why in ("busy", "died"):
                raise no_room() from None
            if step == "answer":
                raise unreadable_answer() from None
            raise ApiError(
                413, "reading this request takes too much time or memory", code="request_too_complex"
            ) from None
        result = msgspec.msgpack.decode(told, type=_Result)
        if result.status:
            raise ApiError(result.status, result.message, code=result.code, param=result.param)
        return result.value, results

    def close(self) -> None:
        self._pool.close()


CPU_S = 0.25
"""A check is given this much processor time; 50 ms are far more than an honest one takes."""
_CHECKED_WITHIN_S = 2.0
_CHECK_MEMORY_BYTES = 1024 * 1024 * 1024


class AnswerChecker:
    """Asks whether answers meet their contracts."""

    def __init__(self) -> None:
        self._pool = BoundedPool("freehold.gateway.proxy.checking")

    async def violation(
        self, kind: ApiKind, endpoint: Endpoint, contract: OutputContract, answer: bytes, *, streamed: bool
    ) -> ContractViolation | None:
        """Why an answer breaks its contract, None where it does not; undecided where that took too much."""
        # As `checking.ContractCheck`, whose module holds a library that a worker need not load.
        try:
            check = msgspec.msgpack.encode((kind, endpoint, streamed, contract))
            (found,) = await self._pool.run(
                "violation",
                [check, answer],
                cpu_s=CPU_S,
                wall_s=_CHECKED_WITHIN_S,
                memory_bytes=_CHECK_MEMORY_BYTES,
            )
        except OverflowError:
            return ContractViolation("the request's schema has a number of more than 64 bits", undecided=True)
        except OutOfBoundsError:
            return ContractViolation("it could not be checked in time", undecided=True)
        return msgspec.msgpack.decode(found, type=ContractViolation | None)

    def close(self) -> None:
        self._pool.close()
