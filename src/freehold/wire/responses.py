"""OpenAI's Responses API, translated to and from its chat API, for upstreams that only have the latter.

Covered: create, plain and streamed, with text, images, functions and their outputs, JSON schemas.
Not covered (refused): state on the server (``previous_response_id``, ``conversation``, ``background``, ``store``),
tools that run at OpenAI, summaries of reasoning. Nothing is stored: answers say ``"store": false``, and their ids tell
that they were issued here (`OWN_MARK`).

Nothing is left out in silence. What needs state that only the API's own host keeps is refused with the code
`NEEDS_STATE`, tools that run there with `HOSTED_TOOL`; behind a route the next endpoint is asked then.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from freehold.wire import openai, sse
from freehold.wire.errors import ApiError, cut_off, refuse_others
from freehold.wire.openai import AssembledAnswer, function_call
from freehold.wire.usage import response_usage, usage_of

NEEDS_STATE, HOSTED_TOOL = "needs_state", "hosted_tool"
OWN_MARK = "fh_"
"""Behind the prefix of each id in an answer that was translated: ``resp_fh_…``, ``msg_fh_…``, ``fc_fh_…``. OpenAI's own
go on with letters and digits alone, so an id tells who issued it, whichever worker or machine is asked."""
_OWN_RESPONSE = f"resp_{OWN_MARK}"
OWN_RESPONSE_PATH = re.compile(rf"/responses/{_OWN_RESPONSE}")
"""In the path of a request for a stored answer: the id of one that was issued here, and not stored."""
_OWN_ITEM = re.compile(rf"(?:msg|fc)_{OWN_MARK}")
_OWN_IN_BODY = re.compile(rf'"(?:resp|msg|fc)_{OWN_MARK}'.encode())
_SAME = (
    *("temperature", "top_p", "user", "metadata", "parallel_tool_calls", "safety_identifier", "seed"),
    *("service_tier", "prompt_cache_key", "prompt_cache_retention"),
)
_KEPT_AT_OPENAI = ("previous_response_id", "conversation", "prompt")
_TRANSLATED = frozenset(
    (
        *_SAME,
        *("model", "input", "instructions", "max_output_tokens", "tools", "tool_choice", "reasoning", "text"),
        *("stream", "include", "truncation"),
        # It counts calls of tools that run at OpenAI alone, which are refused; and streams are not padded.
        *("max_tool_calls", "stream_options"),
        # Nothing is stored, which the answer says; a request that counts on it is refused.
        "store",
    )
)


def request_to_openai(body: bytes) -> bytes:
    """The chat request that asks the same. Raises `ApiError` (400) for what it cannot ask."""
    asked = msgspec.json.decode(body)
    previous = asked.get("previous_response_id")
    if isinstance(previous, str) and is_own_response(previous):
        raise not_stored(400)
    for name in (*_KEPT_AT_OPENAI, "background"):
        if asked.get(name):
            raise _needs_state(
                f"{name} needs state that is not kept here; send the whole input instead", name
            )
    if asked.get("store") is True:
        raise _needs_state("nothing is stored here; leave store out, or send false", "store")
    if asked.get("top_logprobs"):
        raise ApiError(400, "top_logprobs is possible with /v1/chat/completions only", param="top_logprobs")
    refuse_others(asked, _TRANSLATED, "the API of this model")
    # A prompt that does not fit is an error here, never cut: what fits gets the same answer with either word.
    if asked.get("truncation") not in (None, "auto", "disabled"):
        raise ApiError(400, "truncation: expected auto or disabled", param="truncation")
    reasoning = asked.get("reasoning") or {}
    refuse_others(reasoning, ("effort",), "the API of this model (reasoning)")
    for wanted in asked.get("include") or ():
        # Reasoning is not passed on, so there is none to encrypt.
        if wanted != "reasoning.encrypted_content":
            raise ApiError(400, f"include {str(wanted)[:100]} is not possible here", param="include")
    _check_reasoning(asked.get("input"))
    return msgspec.json.encode(_as_chat_request(asked))


def read_request(body: bytes) -> bytes:
    """A request that OpenAI's API itself answers, as a chat request: for guards, traces and imported logs.

    What a chat request has no word for is left out; `ApiError` where that would be a part of the conversation.
    """
    asked = msgspec.json.decode(body)
    for name in _KEPT_AT_OPENAI:
        if asked.get(name):
            raise ApiError(400, f"{name} stands for messages that are not in the request", param=name)
    return msgspec.json.encode(_as_chat_request(asked))


class _Previous(msgspec.Struct):
    previous_response_id: Any = None
    input: Any = None
    store: Any = None
    conversation: Any = None
    prompt: Any = None
    background: Any = None


_previous = msgspec.json.Decoder(_Previous).decode


def is_own_response(response_id: str) -> bool:
    """Whether an id is of an answer that was translated here, and so of no stored response."""
    return response_id.startswith(_OWN_RESPONSE)


def names_own(body: bytes) -> bool:
    """Whether a body may name an id that was issued here: a quick look without reading it."""
    return _OWN_IN_BODY.search(body) is not None


def without_own_ids(body: bytes) -> bytes:
    """A request as OpenAI's API itself may be sent it: without the ids that were issued here, which mean nothing there.

    The items they stand on are whole without them. Raises `ApiError` (400) where the id stands for what is not in the
    request.
    """
    if not names_own(body):
        return body
    asked = _previous(body)
    if isinstance(asked.previous_response_id, str) and is_own_response(asked.previous_response_id):
        raise not_stored(400)
    if not isinstance(asked.input, list):
        return body
    items = [_without_own_id(item) for item in asked.input]
    if items == asked.input:
        return body
    fields: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**fields, "input": items})


def _without_own_id(item: Any) -> Any:
    own = item.get("id") if isinstance(item, dict) else None
    if not isinstance(own, str) or not _OWN_ITEM.match(own):
        return item
    if item.get("type") == "item_reference":
        raise ApiError(
            400, f"the item {own[:100]} was not stored; send the item itself", code=NEEDS_STATE, param="input"
        )
    return {name: value for name, value in item.items() if name != "id"}


def not_stored(status: int) -> ApiError:
    """What a client hears that asks for an answer that was translated here."""
    return ApiError(
        status,
        "Response not found: it was answered by a model that keeps no state (its store is false); send the whole input "
        "instead, or store: true with a request that others are to follow",
        code="previous_response_not_found",
        param="previous_response_id" if status == 400 else None,
    )


def is_stateless(body: bytes) -> bool:
    """Whether a request neither uses state of a host nor leaves any there: any host's answer is as good."""
    try:
        asked = _previous(body)
    except msgspec.MsgspecError:
        return False
    if asked.store is not False or asked.previous_response_id or asked.conversation or asked.prompt:
        return False
    items = asked.input if isinstance(asked.input, list) else ()
    return not asked.background and not any(
        isinstance(item, dict) and item.get("type") in ("item_reference", "reasoning") for item in items
    )


def _needs_state(message: str, param: str) -> ApiError:
    return ApiError(400, message, code=NEEDS_STATE, param=param)


def _check_reasoning(given: Any) -> None:
    """Reasoning of earlier turns is left out, as the API itself discards it after each turn
    (https://cookbook.openai.com/examples/responses_api/reasoning_items, read 2026-11-29). What was thought since the
    user's last word belongs to the answer that is asked for, and only the model that thought it can go on with it."""
    items: list[Any] = given if isinstance(given, list) else []
    for item in reversed(items):
        if not isinstance(item, dict):
            continue
        if item.get("type") == "reasoning":
            raise _needs_state(
                "input: reasoning of another model that belongs to the answer under way cannot be passed on",
                "input",
            )
        if item.get("type", "message") == "message" and item.get("role") == "user":
            return


def _as_chat_request(asked: dict[str, Any]) -> dict[str, Any]:
    chat: dict[str, Any] = {"model": asked.get("model"), "messages": _messages(asked)}
    chat.update({name: asked[name] for name in _SAME if asked.get(name) is not None})
    if asked.get("max_output_tokens") is not None:
        chat["max_tokens"] = asked["max_output_tokens"]
    if asked.get("tools"):
        chat["tools"] = [_tool(tool) for tool in asked["tools"]]
    choice = asked.get("tool_choice")
    if isinstance(choice, dict):
        chat["tool_choice"] = _tool_choice(choice)
    elif choice is not None:
        chat["tool_choice"] = choice
    if isinstance(reasoning := asked.get("reasoning"), dict) and reasoning.get("effort"):
        chat["reasoning_effort"] = reasoning["effort"]
    text = asked.get("text") or {}
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    form = text.get("format") or {}
    if form.get("type") == "json_schema":
        schema = {name: form[name] for name in ("name", "schema", "strict", "description") if name in form}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}
    if asked.get("stream") is True:
        chat["stream"] = True
        chat["stream_options"] = {"include_usage": True}
    return chat


def _messages(asked: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if asked.get("instructions"):
        messages.append({"role": "system", "content": asked["instructions"]})
    given = asked.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    for item in given or ():
        if not isinstance(item, dict):
            raise ApiError(400, "input: expected a string or a list of objects", param="input")
        match item.get("type", "message"):
            case "message":
                role, content = item.get("role"), _content(item.get("content"))
                if role == "assistant" and messages and _is_wordless_call(messages[-1]):
                    messages[-1]["content"] = content  # told behind the calls, whose results follow them
                else:
                    messages.append({"role": role, "content": content})
            case "function_call":
                call = function_call(item.get("call_id"), item.get("name"), item.get("arguments"))
                if messages and messages[-1]["role"] == "assistant":
                    # One turn of the model, though it is several items: chat templates want roles to alternate.
                    messages[-1].setdefault("tool_calls", []).append(call)
                else:
                    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output":
                output = item.get("output")
                text = output if isinstance(output, str) else _content(output)
                messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
            case "reasoning":
                continue
            case "item_reference":
                raise _needs_state("input: an item_reference stands for what is not in the request", "input")
            case other:
                raise ApiError(
                    400, f"an input item of type {str(other)[:100]} cannot be passed on", param="input"
                )
    return messages


def _is_wordless_call(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls")) and message["content"] is None


def _content(content: Any) -> Any:
    if content is None or isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = []
    for part in content:
        match part.get("type"):
            case "input_text" | "output_text" | "text":
                parts.append({"type": "text", "text": part.get("text", "")})
            case "input_image" if part.get("image_url"):
                image = {"url": part["image_url"]}
                if part.get("detail") is not None:
                    image["detail"] = part["detail"]
                parts.append({"type": "image_url", "image_url": image})
            case "refusal":
                parts.append({"type": "text", "text": part.get("refusal", "")})
            case other:
                raise ApiError(400, f"content of type {str(other)[:100]} cannot be passed on", param="input")
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = tool.get("type")
    if kind == "custom":
        raise ApiError(400, "tools of type custom are not possible with the API of this model", param="tools")
    if kind != "function":
        raise ApiError(
            400, f"the tool {str(kind)[:100]} runs at OpenAI, not here", code=HOSTED_TOOL, param="tools"
        )
    kept = {name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name)}
    return {"type": "function", "function": kept}


def _tool_choice(choice: dict[str, Any]) -> dict[str, Any]:
    match choice.get("type"):
        case "function":
            return {"type": "function", "function": {"name": choice.get("name")}}
        case "allowed_tools":
            named = [{"type": "function", "function": {"name": tool["name"]}} for tool in choice["tools"]]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": named}}
        case other:
            raise ApiError(400, f"tool_choice {str(other)[:100]} is not possible here", param="tool_choice")


_REPEATED = ("user", "safety_identifier", "prompt_cache_key", "service_tier")
# By the chat API's finish_reason.
_KINDS = ("content", "refusal")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _response(
    chat: dict[str, Any], asked: dict[str, Any], status: str, output: list[Any], finish: str | None = None
) -> dict[str, Any]:
    usage = chat.get("usage")
    reasoning = asked.get("reasoning")
    return {
        "id": f"resp_{OWN_MARK}{chat.get('id', '')}",
        "object": "response",
        "created_at": chat.get("created") or 0,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": _INCOMPLETE[finish or "length"]} if status == "incomplete" else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "metadata": asked.get("metadata") or {},
        "model": asked.get("model"),
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {
            "effort": reasoning.get("effort") if isinstance(reasoning, dict) else None,
            "summary": None,
        },
        "store": False,
        "temperature": asked.get("temperature"),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p"),
        "truncation": asked.get("truncation") or "disabled",
        "usage": response_usage(usage_of(chat)) if isinstance(usage, dict) else None,
        **{name: asked[name] for name in _REPEATED if asked.get(name) is not None},
    }


def _part(kind: str, text: str) -> dict[str, Any]:
    """A part of a message: its text, or (`kind` is ``refusal``) what the model said instead of answering."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": []}


def _message_item(chat_id: Any, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": f"msg_{OWN_MARK}{chat_id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _call_item(call: dict[str, Any], status: str) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": f"fc_{OWN_MARK}{call.get('id')}",
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments") or "{}",
        "status": status,
    }


def _output(chat: dict[str, Any], status: str, text_at: int = 0) -> list[dict[str, Any]]:
    """The items of an answer, its text behind the first `text_at` calls. The last of them is what was cut, where it
    was."""
    message = (chat.get("choices") or [{}])[0].get("message") or {}
    output = [_call_item(call, "completed") for call in message.get("tool_calls") or ()]
    told = ((kind, openai.text_of(message.get(kind))) for kind in _KINDS)
    content = [_part(kind, text) for kind, text in told if text]
    if content or not output:
        output.insert(text_at, _message_item(chat.get("id"), content or [_part("content", "")], "completed"))
    output[-1]["status"] = status
    return output


def _status(finish: str | None) -> str:
    return "incomplete" if finish in _INCOMPLETE else "completed"


def answer_from_openai(body: bytes, request: bytes) -> bytes:
    """The response that says what a chat completion says."""
    chat = msgspec.json.decode(body)
    finish = openai.first_choice(chat).get("finish_reason")
    asked = msgspec.json.decode(request)
    status = _status(finish)
    return msgspec.json.encode(_response(chat, asked, status, _output(chat, status), finish))


class ResponsesStreamFromOpenai(sse.TranslatedStream):
    """A chat completion stream as the events of a response."""

    def __init__(self, request: bytes) -> None:
        super().__init__()
        self._asked = msgspec.json.decode(request)
        self._all: list[bytes] = []
        self._number = 0
        self._chat: dict[str, Any] = {}
        self._parts: dict[str, list[str]] = {}
        self._text_at = 0
        self._calls: list[dict[str, Any]] = []
        self._items: list[dict[str, Any]] = []

    def feed(self, data: bytes) -> bytes:
        self._all.append(data)
        return super().feed(data)

    def rest(self) -> bytes:
        self._start({})
        answer = openai.read_stream(b"".join(self._all))
        if not answer.ended:
            raise cut_off()
        chat = answer.body or {}
        status = _status(answer.finish_reason)
        self._end_text(status)
        calls = ((chat.get("choices") or [{}])[0].get("message") or {}).get("tool_calls") or ()
        for begun, call in zip(self._items, calls, strict=False):
            last = begun is self._items[-1] and (not self._parts or self._text_at < len(self._calls))
            item = _call_item(call, status if last else "completed")
            output_index = begun["output_index"]
            place = {"item_id": item["id"], "output_index": output_index}
            named = {"arguments": item["arguments"], "name": item["name"]}
            self._event("response.function_call_arguments.done", {**place, **named})
            self._event("response.output_item.done", {"output_index": output_index, "item": item})
        response = _response(
            chat, self._asked, status, _output(chat, status, self._text_at), answer.finish_reason
        )
        self._event(f"response.{status}", {"response": response})
        return self._sent()

    def broken(self, error: bytes) -> bytes:
        said = msgspec.json.decode(error)["error"]
        self._out.clear()
        body = {"code": said.get("code"), "message": said.get("message"), "param": None}
        self._event("error", body)
        return self._sent()

    def _take(self, chunk: dict[str, Any], /) -> None:
        if chunk.get("error"):
            raise openai.stopped_with(chunk)
        self._start(chunk)
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            for kind in _KINDS:
                if text := openai.text_of(delta.get(kind)):
                    self._word(kind, text)
            for call in delta.get("tool_calls") or ():
                self._call(call)

    def _start(self, chunk: dict[str, Any]) -> None:
        if self._chat:
            return
        self._chat = {"id": chunk.get("id", ""), "created": chunk.get("created")}
        response = _response(self._chat, self._asked, "in_progress", [])
        self._event("response.created", {"response": response})
        self._event("response.in_progress", {"response": response})

    def _word(self, kind: str, text: str) -> None:
        if not self._parts:
            self._text_at = len(self._calls)
            item = _message_item(self._chat.get("id"), [], "in_progress")
            self._event("response.output_item.added", {"output_index": self._text_at, "item": item})
        if kind not in self._parts:
            self._parts[kind] = []
            self._event("response.content_part.added", {**self._place(kind), "part": _part(kind, "")})
        self._parts[kind].append(text)
        if kind == "refusal":
            self._event("response.refusal.delta", {**self._place(kind), "delta": text})
        else:
            self._event("response.output_text.delta", {**self._place(kind), "delta": text, "logprobs": []})

    def _place(self, kind: str) -> dict[str, Any]:
        return {
            "item_id": f"msg_{OWN_MARK}{self._chat.get('id')}",
            "output_index": self._text_at,
            "content_index": list(self._parts).index(kind),
        }

    def _end_text(self, status: str) -> None:
        if not self._parts:
            return
        content = []
        for kind, words in self._parts.items():
            text = "".join(words)
            content.append(_part(kind, text))
            if kind == "refusal":
                self._event("response.refusal.done", {**self._place(kind), "refusal": text})
            else:
                told = {**self._place(kind), "text": text, "logprobs": []}
                self._event("response.output_text.done", told)
            self._event("response.content_part.done", {**self._place(kind), "part": content[-1]})
        is_last = self._text_at == len(self._calls)
        item = _message_item(self._chat.get("id"), content, status if is_last else "completed")
        self._event("response.output_item.done", {"output_index": self._text_at, "item": item})

    def _call(self, call: dict[str, Any]) -> None:
        begun = len(self._calls)
        place = openai.place_of(self._calls, call)
        openai.note(self._calls[place], call)
        if place == begun:
            output_index = begun + bool(self._parts)
            item = {**_call_item(call, "in_progress"), "arguments": ""}
            self._items.append({"output_index": output_index, "id": item["id"]})
            self._event("response.output_item.added", {"output_index": output_index, "item": item})
        known = self._items[place]
        if text := (call.get("function") or {}).get("arguments"):
            body = {"item_id": known["id"], "output_index": known["output_index"], "delta": text}
            self._event("response.function_call_arguments.delta", body)

    def _event(self, kind: str, body: dict[str, Any]) -> None:
        data = msgspec.json.encode({"type": kind, "sequence_number": self._number, **body})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1


# What OpenAI itself answered, for traces


@openai.none_where_unreadable
def read_answer(body: bytes) -> AssembledAnswer:
    """A response, as a chat completion."""
    response = msgspec.json.decode(body)
    if not isinstance(response, dict) or response.get("object") != "response":
        return AssembledAnswer(response if isinstance(response, dict) else None, None, None, True)
    text: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in response.get("output") or ():
        if item.get("type") == "message":
            text.extend(
                part["text"] for part in item.get("content") or () if part.get("type") == "output_text"
            )
        elif item.get("type") == "function_call":
            calls.append(openai.function_call(item.get("call_id"), item.get("name"), item.get("arguments")))
    finish = "length" if response.get("status") == "incomplete" else ("tool_calls" if calls else "stop")
    ended = response.get("status") in ("completed", "incomplete")
    return openai.as_completion(response, "".join(text), calls, finish, ended=ended)


@openai.none_where_unreadable
def read_stream(stream: bytes) -> AssembledAnswer:
    """The response that a stream's last event carries, as a chat completion."""
    for event in sse.objects(stream):
        if event.get("type") in ("response.completed", "response.incomplete"):
            return read_answer(msgspec.json.encode(event["response"]))
    return AssembledAnswer(None, None, None, False)
