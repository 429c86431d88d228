"""Exports of other tools and of vendors, each as one of its records."""

import json

import pytest
from tests.datasets.importing.exports import (
    ASKED,
    CALL,
    COMPLETION,
    GENERATION,
    SAID,
    TOOL,
    answer,
    attribute,
    one,
    read,
    spans,
)

from freehold.datasets.importing import PassedOver, RejectedRecord


def test_helicone(tmp_path):
    record = {
        "request_id": "r", "request_created_at": "2026-05-01T10:00:00Z", "response_status": 200,
        "feedback_rating": False,
        "request_body": {"model": "claude", "system": "Be kind.", "max_tokens": 9,
                         "messages": [{"role": "user", "content": [{"type": "text", "text": "lamp?"}]}]},
        "response_body": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}],
                          "usage": {"input_tokens": 4, "output_tokens": 1}},
        "request_properties": {"Helicone-Session-Id": "s1", "plan": "pro"},
    }  # fmt: skip
    format, found = one(tmp_path, record)
    assert (format, found.conversation_id, found.metadata) == ("helicone", "s1", {"plan": "pro"})
    assert found.desirable is False and answer(found)["content"] == "yes"
    _, (failed,) = read(tmp_path, {**record, "response_status": 429})
    assert isinstance(failed, PassedOver)


def test_langfuse_generations(tmp_path):
    format, found = one(tmp_path, GENERATION)
    assert format == "langfuse"
    assert found.request["messages"] == ASKED and found.request["tools"] == [TOOL]
    assert (found.conversation_id, found.usage.completion_tokens) == ("t1", 3)
    assert found.metadata == {"tenant": "a", "observation": "answer"}


def test_langfuse_blob_rows_hold_json_as_text(tmp_path):
    row = {
        "id": "g1", "trace_id": "t1", "type": "GENERATION", "session_id": "s1", "user_id": "u1",
        "start_time": "2026-05-01 10:00:00.000000", "provided_model_name": "gpt-4o",
        "input": json.dumps(ASKED), "output": json.dumps(COMPLETION),
    }  # fmt: skip
    format, found = one(tmp_path, row)
    assert (format, found.conversation_id, found.user) == ("langfuse", "s1", "u1")
    assert answer(found)["content"] == "on its way"
    assert found.at.isoformat() == "2026-05-01T10:00:00+00:00"


def test_langfuse_trace_with_observations_gives_its_generations(tmp_path):
    span = {**GENERATION, "id": "s", "type": "SPAN"}
    whole = {
        "trace": {"id": "t1", "userId": "u1", "sessionId": "s9", "name": "chat"},
        "observations": [span, GENERATION],
    }
    format, found = one(tmp_path, whole)
    assert (format, found.id, found.user, found.conversation_id) == ("langfuse", "g1", "u1", "s9")
    _, (passed,) = read(tmp_path, span)
    assert isinstance(passed, PassedOver) and "SPAN" in passed.reason


def test_langfuse_session_gives_its_traces_as_one_conversation(tmp_path):
    traces = [
        {"id": "t1", "projectId": "p", "input": {"messages": ASKED}, "output": SAID},
        {"id": "t2", "projectId": "p", "input": "and the shade?", "output": "tomorrow"},
        "nonsense",
    ]  # fmt: skip
    session = {"id": "s1", "projectId": "p", "createdAt": "2026-05-01T10:00:00Z", "traces": traces}
    format, (first, second, bad) = read(tmp_path, session)
    assert format == "langfuse"
    assert (first.id, second.id, first.conversation_id, second.conversation_id) == ("t1", "t2", "s1", "s1")
    assert answer(second)["content"] == "tomorrow"
    assert isinstance(bad, RejectedRecord) and "not an object" in bad.reason


def lc(kind, **kwargs):
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", kind], "kwargs": kwargs}


def test_langsmith_runs_of_langchain_and_of_the_openai_wrapper(tmp_path):
    called = lc("AIMessage", content="", tool_calls=[{"name": "find", "args": {"q": "lamp"}, "id": "c1"}])
    run = {
        "id": "r1", "run_type": "llm", "trace_id": "t1", "start_time": "2026-05-01T10:00:00", "error": None,
        "end_time": "2026-05-01T10:00:01",
        "inputs": {"messages": [[lc("SystemMessage", content="Be kind."), lc("HumanMessage", content="lamp?"), called,
                                 lc("ToolMessage", content="found", tool_call_id="c1")]]},
        "outputs": {"generations": [[{"text": "yes", "message": lc("AIMessage", content="yes")}]]},
        "extra": {"metadata": {"thread_id": "s1", "ls_model_name": "gpt-4o"}, "invocation_params": {"tools": [TOOL]}},
    }  # fmt: skip
    format, found = one(tmp_path, run)
    assert (format, found.request["model"], found.conversation_id) == ("langsmith", "gpt-4o", "s1")
    roles = [message["role"] for message in found.request["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    assert json.loads(found.request["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"q": "lamp"}
    assert found.request["tools"] == [TOOL] and found.total_ms == 1000
    wrapped = {
        **run,
        "inputs": json.dumps({"messages": ASKED, "model": "gpt-4o"}),
        "outputs": json.dumps(COMPLETION),
        "extra": json.dumps({"metadata": {}}),
    }
    _, found = one(tmp_path, wrapped)
    assert found.request["messages"] == ASKED and answer(found)["content"] == "on its way"
    _, (chain,) = read(tmp_path, {**run, "run_type": "chain"})
    assert isinstance(chain, PassedOver)


def test_langsmith_examples_are_right_answers(tmp_path):
    record = {
        "inputs": {"question": "lamp?"},
        "outputs": {"answer": "yes"},
        "metadata": {"dataset_split": "test"},
    }
    format, found = one(tmp_path, record)
    assert (format, found.gold, found.response, found.metadata["split"]) == (
        "langsmith",
        "yes",
        None,
        "held_out",
    )


def test_litellm_standard_records_and_spend_records(tmp_path):
    standard = {
        "id": "x", "trace_id": "t1", "call_type": "acompletion", "response_cost": 0.1, "model": "gpt-4o",
        "messages": ASKED, "response": COMPLETION, "startTime": 1760000000.1, "endTime": 1760000000.6,
        "model_parameters": {"tools": [TOOL], "temperature": 0}, "end_user": "u1", "status": "success",
        "metadata": {"requester_metadata": {"team": "a"}},
    }  # fmt: skip
    format, found = one(tmp_path, standard)
    assert (format, found.user, found.metadata) == ("litellm", "u1", {"team": "a"})
    assert found.request["tools"] == [TOOL] and found.total_ms == 500
    spend = {
        "request_id": "x", "call_type": "aresponses", "spend": 0.1, "session_id": "s1", "messages": "{}",
        "proxy_server_request": json.dumps({"model": "gpt-4o", "instructions": "Be kind.", "input": "lamp?"}),
        "response": json.dumps(COMPLETION),
    }  # fmt: skip
    format, found = one(tmp_path, spend)
    assert (format, found.conversation_id) == ("litellm", "s1")
    assert [message["role"] for message in found.request["messages"]] == ["system", "user"]
    _, rows = read(tmp_path, {**standard, "call_type": "aembedding"}, {**standard, "messages": None})
    assert isinstance(rows[0], PassedOver) and "store_prompts_in_spend_logs" in rows[1].reason


CALLED = [
    *ASKED,
    {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
    {"role": "tool", "tool_call_id": "c1", "content": "found"},
    {"role": "tool", "tool_call_id": "c2", "content": "lost"},
]


def test_fine_tuning_file_with_weights_and_parallel_tool_calls(tmp_path):
    record = {
        "messages": [*CALLED, {**SAID, "weight": 0}],
        "tools": [TOOL],
        "parallel_tool_calls": True,
        "language": "en",
    }
    format, found = one(tmp_path, record)
    assert format == "openai"
    assert found.request["messages"] == CALLED
    assert found.request["tools"] == [TOOL] and found.request["parallel_tool_calls"] is True
    assert answer(found)["weight"] == 0
    assert found.metadata == {"language": "en"}


def test_old_function_calls_become_tool_calls(tmp_path):
    record = {
        "messages": [
            *ASKED,
            {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": "{}"}},
            {"role": "function", "name": "find", "content": "found"},
            SAID,
        ],
        "functions": [TOOL["function"]],
    }
    _, found = one(tmp_path, record)
    assert found.request["tools"] == [TOOL]
    assert [m["role"] for m in found.request["messages"]] == ["system", "user", "assistant", "tool"]
    assert found.request["messages"][2]["tool_calls"][0]["id"] == found.request["messages"][3]["tool_call_id"]


def test_stored_completions_with_their_messages(tmp_path):
    stored = {**COMPLETION, "metadata": {"session_id": "s1"}, "tools": [TOOL]}
    sent = [{**message, "id": f"m{n}", "content_parts": None} for n, message in enumerate(ASKED)]
    for record in (
        {"completion": stored, "messages": {"object": "list", "data": sent}},
        {**stored, "input": sent},
    ):
        format, found = one(tmp_path, record)
        assert format == "stored_completions"
        assert found.request["messages"] == ASKED
        assert (found.conversation_id, found.usage.prompt_tokens) == ("s1", 9)
        assert found.at.year == 2025
    _, (alone,) = read(tmp_path, COMPLETION)
    assert isinstance(alone, RejectedRecord) and "without the messages" in alone.reason


PARTS = [
    {"role": "user", "parts": [{"type": "text", "content": "lamp?"}]},
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"q": "lamp"}}],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"found": "yes"}}]},
]


BASE = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9}


@pytest.mark.parametrize("encode", [json.dumps, lambda value: value])
def test_opentelemetry_message_attributes(tmp_path, encode):
    chat = {
        **BASE,
        "gen_ai.input.messages": encode(PARTS),
        "gen_ai.output.messages": encode(
            [{"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}]
        ),
        "gen_ai.system_instructions": encode([{"type": "text", "content": "Be kind."}]),
        "gen_ai.tool.definitions": encode(
            [{"type": "function", "name": "find", "parameters": {"type": "object"}}]
        ),
        "gen_ai.conversation.id": "k",
    }
    format, rows = read(tmp_path, spans(chat, {"http.method": "GET"}))
    found, passed = rows
    assert (format, found.conversation_id, found.total_ms) == ("opentelemetry", "k", 500)
    assert [m["role"] for m in found.request["messages"]] == ["system", "user", "assistant", "tool"]
    assert found.request["messages"][3] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": '{"found":"yes"}',
    }
    assert found.request["tools"][0]["function"]["name"] == "find"
    assert answer(found)["content"] == "yes"
    assert isinstance(passed, PassedOver)


def test_opentelemetry_span_events_and_numbered_attributes(tmp_path):
    events = [
        {"name": "gen_ai.system.message", "attributes": [attribute("content", "Be kind.")]},
        {"name": "gen_ai.user.message", "attributes": [attribute("content", "lamp?")]},
        {
            "name": "gen_ai.choice",
            "attributes": [attribute("message", '{"content":"yes","role":"assistant"}')],
        },
    ]
    _, (found,) = read(tmp_path, spans(BASE, events=events))
    assert [m["content"] for m in found.request["messages"]] == ["Be kind.", "lamp?"]
    assert answer(found)["content"] == "yes"
    numbered = {
        **BASE,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "lamp?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.tool_calls.0.name": "find",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"q":1}',
        "llm.request.functions.0.name": "find",
    }
    _, (found,) = read(tmp_path, spans(numbered))
    assert answer(found)["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"q":1}'}
    assert found.request["tools"][0]["function"] == {"name": "find"}


def test_opentelemetry_log_records_are_joined_by_span(tmp_path):
    def record(name, body, span="s1"):
        return {"traceId": "t1", "spanId": span, "eventName": name, "body": attribute("", body)["value"]}

    logged = [
        record("gen_ai.user.message", {"content": "lamp?"}),
        record("gen_ai.user.message", {"content": "unanswered"}, "s2"),
        record("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "yes"}}),
    ]
    _, rows = read(tmp_path, {"resourceLogs": [{"scopeLogs": [{"logRecords": logged}]}]})
    found, left = rows
    assert (found.conversation_id, answer(found)["content"]) == ("t1", "yes")
    assert isinstance(left, RejectedRecord) and "no gen_ai.choice" in left.reason


def test_openinference_spans(tmp_path):
    asked, said = "llm.input_messages", "llm.output_messages.0.message"
    call = f"{said}.tool_calls.0.tool_call"
    llm = {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "session.id": "s1", "llm.token_count.prompt": 7,
        f"{asked}.0.message.role": "system", f"{asked}.0.message.content": "Be kind.",
        f"{asked}.1.message.role": "user",
        f"{asked}.1.message.contents.0.message_content.type": "text",
        f"{asked}.1.message.contents.0.message_content.text": "where is my lamp",
        f"{said}.role": "assistant", f"{call}.id": "c1", f"{call}.function.name": "find",
        f"{call}.function.arguments": '{"q": "lamp"}',
        "llm.tools.0.tool.json_schema": json.dumps(TOOL),
    }  # fmt: skip
    format, (found, chain) = read(tmp_path, spans(llm, {**llm, "openinference.span.kind": "CHAIN"}))
    assert format == "opentelemetry" and isinstance(chain, PassedOver)
    assert found.request == {"model": "gpt-4o", "messages": ASKED, "tools": [TOOL]}
    assert answer(found)["tool_calls"] == [CALL]
    assert (found.conversation_id, found.usage.prompt_tokens) == ("s1", 7)
