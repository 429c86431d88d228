"""Exports of other tools and of vendors: which records are theirs, and where a call stands in them.

Sources of the shapes (read 2026-11). Helicone: its export tool (github.com/Helicone/helicone,
``examples/export/typescript``) and `HeliconeRequest` (docs.helicone.ai, "Get Requests"). Langfuse: "Blob storage export
field reference", "Export from UI", "How do I export a single trace or session" (langfuse.com/docs), `Observation` and
`ObservationV2` of its JavaScript reference. LangSmith: "Run (span) data format", "Bulk export trace data", "Log LLM
calls" (docs.langchain.com/langsmith), the schemas of its SDK. LiteLLM: "StandardLoggingPayload Specification", "Getting
Started with UI Logs" (docs.litellm.ai), ``LiteLLM_SpendLogs`` of its migrations. OpenAI's stored completions: "List
stored Chat Completions" and "Get the messages in a stored chat completion".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from freehold.datasets.importing.chats import answer_of, messages_of
from freehold.datasets.importing.importer import Bodies, Paths, pick, tool
from freehold.datasets.importing.records import BadRecord, NotWanted, as_json, as_object
from freehold.datasets.messages import message_text
from freehold.rows.reading import Row

Record = dict[str, Any]


def _is_helicone(record: Record) -> bool:
    has_body = "request_body" in record or "response_body" in record
    return has_body and bool(record.keys() & {"request_id", "response_id", "request_created_at"})


def _helicone(record: Record) -> Bodies:
    status = pick(record, "response_status | status")
    if status is not None and not str(status).startswith("2"):
        raise NotWanted(f"the call failed with status {status}")
    asked, said = as_object(record.get("request_body")), as_object(record.get("response_body"))
    embedded = asked.get("input") if not asked.keys() & {"messages", "prompt"} else None
    if isinstance(embedded, list) and all(isinstance(one, str) for one in embedded):
        raise NotWanted("a call of an embedding model")
    if not asked or not said:
        raise BadRecord("no bodies: export with --include-body, as JSON lines")
    return Bodies(asked, said)


HELICONE = tool(
    "helicone",
    "Helicone export",
    _is_helicone,
    Paths(
        _helicone,
        asked="request_body",
        answer="response_body",
        at="request_created_at | response_created_at",
        conversation="request_properties.Helicone-Session-Id | request_properties.helicone-session-id"
        " | properties.Helicone-Session-Id | properties.helicone-session-id",
        user="request_user_id | helicone_user",
        liked="feedback_rating",
        slices="request_properties | properties",
        id="request_id | response_id",
        model="response_model | request_model | model",
        usage=".",
        ms="delay_ms",
        metadata=lambda record, found: {
            name: value for name, value in found.items() if name.lower() != "helicone-session-id"
        },
    ),
)

_OBSERVATIONS = frozenset({"GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR",
                           "EMBEDDING", "GUARDRAIL"})  # fmt: skip


def _is_langfuse(record: Record) -> bool:
    if isinstance(record.get("trace"), dict) and isinstance(record.get("observations"), list):
        return True
    if isinstance(record.get("traces"), list) and record.keys() & {"projectId", "project_id", "createdAt"}:
        return True
    ids = record.keys() & {"traceId", "trace_id", "sessionId", "session_id", "projectId", "project_id"}
    if not ids or record.keys() & {"run_type", "dotted_order", "call_type"}:
        return False
    is_trace = bool(record.keys() & {"observations", "release", "bookmarked", "environment"})
    return str(record.get("type")) in _OBSERVATIONS or (
        is_trace and bool(record.keys() & {"input", "output", "observations"})
    )


def _generations(rows: Iterable[Row]) -> Iterator[Row]:
    """A session's traces, which are turns of one conversation, and a trace's generations; else the trace itself."""
    for row in rows:
        value = row.value or {}
        inner = value.get("trace")
        trace = inner if isinstance(inner, dict) else value
        listed = as_json(value.get("observations") or trace.get("observations"))
        generations = [
            {**one, "trace": trace}
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, dict) and one.get("type") == "GENERATION"
        ]
        if isinstance(traces := value.get("traces"), list):
            shared = {"sessionId": value.get("id")}
            parts = [{**shared, **one} if isinstance(one, dict) else None for one in traces]
            size, problem = row.size // max(1, len(parts)), "a trace is not an object"
            yield from _generations(row._replace(value=one, size=size, problem=problem) for one in parts)
        else:
            for one in generations:
                yield row._replace(value=one, size=row.size // len(generations))
            if not generations:
                yield row


def _langfuse(record: Record) -> Bodies:
    kind = str(record.get("type") or "")
    if kind and kind != "GENERATION":
        raise NotWanted(f"an observation of type {kind}, no call of a model")
    if str(record.get("level")) == "ERROR":
        raise NotWanted("the call failed")
    asked, said = as_json(record.get("input")), as_json(record.get("output"))
    if asked is None or said is None:
        raise BadRecord(f"{'input' if asked is None else 'output'} is missing")
    if isinstance(asked, list):
        asked = {"messages": asked}
    if isinstance(asked, dict):
        asked = {**as_object(pick(record, "modelParameters | model_parameters")), **asked}
    return Bodies(asked, said)


def _langfuse_metadata(record: Record, found: Record) -> Record:
    """What people put there, without the SDK's own attributes, and which step of the application it was."""
    named = {
        "trace_name": pick(record, "traceName | trace_name | trace.name"),
        "observation": record.get("name"),
        "prompt": pick(record, "promptName | prompt_name"),
    }
    own = {
        name: value
        for name, value in found.items()
        if name not in ("attributes", "scope") and not name.startswith("resource")
    }
    return own | {name: value for name, value in named.items() if value is not None}


LANGFUSE = tool(
    "langfuse",
    "Langfuse export",
    _is_langfuse,
    Paths(
        _langfuse,
        asked="input (of generations)",
        answer="output",
        tools="input.tools | modelParameters.tools",
        at="startTime | start_time | timestamp",
        conversation="sessionId | session_id | trace.sessionId | trace.session_id | traceId | trace_id",
        user="userId | user_id | trace.userId | trace.user_id",
        slices="metadata",
        model="model | providedModelName | provided_model_name",
        usage="usageDetails | usage_details | usage",
        metadata=_langfuse_metadata,
    ),
    calls=_generations,
)


def _run(record: Record) -> Bodies:
    kind = str(record.get("run_type"))
    if kind != "llm":
        raise NotWanted(f"a run of type {kind}, no call of a model")
    if record.get("error"):
        raise NotWanted("the call failed")
    inputs, outputs = as_object(record.get("inputs")), as_object(record.get("outputs"))
    if not inputs or not outputs:
        raise BadRecord(f"{'inputs' if not inputs else 'outputs'} is missing")
    invocation = as_object(pick(record, "extra.invocation_params"))
    return Bodies(_asked_of(inputs, invocation), _said_of(outputs))


def _asked_of(inputs: Record, invocation: Record) -> Any:
    kept = {
        name: invocation[name]
        for name in ("tools", "functions", "response_format", "tool_choice", "temperature", "max_tokens")
        if invocation.get(name) is not None
    }
    given = as_json(pick(inputs, "messages | input | prompts | prompt"))
    if "messages" in inputs or (isinstance(given, list) and given and not isinstance(given[0], str)):
        return {**kept, **inputs, "messages": messages_of(given)}
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, str):
        raise BadRecord("inputs holds neither messages nor a prompt")
    return {**kept, "messages": [{"role": "user", "content": given}]}


def _said_of(outputs: Record) -> Any:
    generations = as_json(outputs.get("generations"))
    while isinstance(generations, list) and generations:
        generations = generations[0]
    if isinstance(generations, dict):
        return generations.get("message") or generations.get("text")
    return outputs.get("message") or outputs.get("messages") or outputs


def _example(record: Record) -> Bodies:
    inputs, outputs = as_object(record.get("inputs")), as_object(record.get("outputs"))
    if not inputs or not outputs:
        raise BadRecord("an example without inputs or outputs")
    given = pick(inputs, "messages | input | question | prompt | query | text")
    if given is None and len(inputs) == 1:
        given = next(iter(inputs.values()))
    asked = _asked_of({"messages": given} if isinstance(as_json(given), list) else {"input": given}, inputs)
    return Bodies(asked, None, _right_of(outputs))


def _right_of(outputs: Record) -> Any:
    if len(outputs) == 1 or outputs.keys() & {"generations", "choices", "role", "messages"}:
        only = next(iter(outputs.values()))
        if isinstance(only, str):
            return only
        answer, _ = answer_of(_said_of(outputs))
        text = None if answer is None else message_text(answer["choices"][0]["message"])
        if text:
            return text
    found = pick(outputs, "answer | output | label | expected | ground_truth")
    return outputs if found is None else found


def _example_metadata(record: Record, found: Record) -> Record:
    split = {"test": "held_out", "validation": "validation"}.get(str(found.get("dataset_split", "")))
    rest = {name: value for name, value in found.items() if name != "dataset_split"}
    return rest | ({"split": split} if split else {})


LANGSMITH = tool(
    "langsmith",
    "LangSmith runs or examples",
    lambda record: "run_type" in record or ("inputs" in record and "outputs" in record),
    Paths(
        _run,
        asked="inputs.messages (of runs of type llm)",
        answer="outputs.generations[0][0].message | outputs.choices | outputs.message",
        tools="extra.invocation_params.tools",
        at="start_time",
        conversation="extra.metadata.session_id | extra.metadata.thread_id | extra.metadata.conversation_id | trace_id",
        user="extra.metadata.user_id | extra.metadata.user",
        slices="extra.metadata",
        model="extra.metadata.ls_model_name | extra.invocation_params.model | extra.invocation_params.model_name"
        " | inputs.model",
        usage="outputs.usage | outputs.usage_metadata | outputs.token_usage | .",
        end="end_time",
        metadata=lambda record, found: {
            name: value for name, value in found.items() if not name.startswith(("ls_", "revision", "LANG"))
        },
    ),
    Paths(
        _example,
        asked="inputs",
        right="outputs (of examples)",
        at="created_at",
        slices="metadata",
        metadata=_example_metadata,
    ),
    which=lambda record: "run_type" not in record,
)

_CHATS = frozenset({"completion", "acompletion", "text_completion", "atext_completion", "responses", "aresponses",
                    "anthropic_messages", "anthropic_messages_handler", "generate_content",
                    "agenerate_content", ""})  # fmt: skip


def _is_litellm(record: Record) -> bool:
    inner = record.get("standard_logging_object") or record
    known = {"proxy_server_request", "response_cost", "request_id", "model_group", "spend"}
    return isinstance(inner, dict) and "call_type" in inner and bool(inner.keys() & known)


def _standard(rows: Iterable[Row]) -> Iterator[Row]:
    """The standard record that a call-back's holds."""
    for row in rows:
        inner = (row.value or {}).get("standard_logging_object")
        yield row._replace(value=inner) if isinstance(inner, dict) else row


def _litellm(record: Record) -> Bodies:
    kind = str(record.get("call_type") or "")
    if kind not in _CHATS:
        raise NotWanted(f"a call of type {kind}")
    if "failure" in (record.get("status"), pick(record, "metadata.status")):
        raise NotWanted("the call failed")
    body = as_object(pick(record, "proxy_server_request.body")) or as_object(
        record.get("proxy_server_request")
    )
    given, model = as_json(record.get("messages")), pick(record, "model | model_group")
    if body.keys() & {"messages", "input", "prompt"}:
        asked = body
    elif given:
        asked = {**(given if isinstance(given, dict) else {"messages": given}), "model": model}
    else:
        raise BadRecord("no prompt: LiteLLM keeps it only with store_prompts_in_spend_logs: true")
    asked, said = as_object(record.get("model_parameters")) | asked, as_json(record.get("response"))
    if "redacted-by-litellm" in str(asked)[:4000] or "redacted-by-litellm" in str(said)[:4000]:
        raise BadRecord("prompt or answer was redacted by LiteLLM")
    return Bodies(asked, said)


LITELLM = tool(
    "litellm",
    "LiteLLM records",
    _is_litellm,
    Paths(
        _litellm,
        asked="proxy_server_request | messages",
        answer="response",
        at="startTime",
        conversation="session_id | trace_id",
        user="end_user | user",
        slices="metadata.requester_metadata",
        id="request_id | id | litellm_call_id",
        model="model | model_group",
        usage="metadata.usage_object | .",
        end="endTime",
    ),
    calls=_standard,
)


def _is_stored(record: Record) -> bool:
    inner = record.get("completion")
    whole = inner if isinstance(inner, dict) else record
    return "chat.completion" in (whole.get("object"), record.get("object"))


def _stored_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """The stored completion, with the messages that a second call gives beside it or in it."""
    for row in rows:
        stored = (row.value or {}).get("completion")
        if row.value is not None and isinstance(stored, dict):
            row = row._replace(value={**stored, "messages": pick(row.value, "messages | input")})
        yield row


def _stored(record: Record) -> Bodies:
    given = as_json(pick(record, "messages | input"))
    if isinstance(given, dict):  # the second call's page as it came
        given = given.get("data", given)
    if not isinstance(given, list) or not given:
        raise BadRecord("the completion is here without the messages that were sent (see the import guide)")
    return Bodies({**record, "messages": [_sent(message) for message in messages_of(given)]}, record)


def _sent(message: Record) -> Record:
    """A stored message as it was sent: its own id is not part of it, and parts stand for the flattened text."""
    kept = {name: value for name, value in message.items() if name not in ("id", "content_parts")}
    kept = {"content": None} | {name: value for name, value in kept.items() if value is not None}
    parts = message.get("content_parts")
    return kept | ({"content": parts} if parts else {})


STORED = tool(
    "stored_completions",
    "OpenAI stored completions",
    _is_stored,
    Paths(
        _stored,
        asked="messages (or input), fetched for each completion",
        answer="choices[0].message",
        tools="tools",
        schema="response_format",
        at="created",
        conversation="metadata.conversation_id | metadata.session_id | metadata.thread_id",
        user="input_user | user | metadata.user_id",
        slices="metadata",
        model="model",
    ),
    calls=_stored_rows,
)
