"""A call that an engine did not make, asked for by the schema of its form."""

import json

import jsonschema
import pytest

from freehold.gateway.proxy.calling.forced_call import request_of_call, told_as_call
from freehold.gateway.proxy.structured_output import OutputContract, answer_of, violation_of
from freehold.types.endpoint import Endpoint

ORDER = {
    "type": "object",
    "properties": {"order": {"$ref": "#/$defs/number"}},
    "required": ["order"],
    "$defs": {"number": {"type": "integer"}},
}
TOOLS = [
    {"type": "function", "function": {"name": "find", "parameters": ORDER}},
    {"type": "function", "function": {"name": "stop"}},
]
BODY = json.dumps({"model": "m", "messages": [], "tools": TOOLS, "tool_choice": "required"}).encode()
ENDPOINT = Endpoint(name="e", engine="llamacpp", base_url="http://x")


def schema_of(demanded):
    asked = json.loads(request_of_call(OutputContract(None, TOOLS, demanded), BODY))
    assert asked["tools"] == TOOLS and asked["tool_choice"] == "none"
    return asked["response_format"]["json_schema"]["schema"]


@pytest.mark.parametrize(
    ("demanded", "value", "holds"),
    [
        ("", {"name": "find", "arguments": {"order": 5}}, True),
        ("", {"name": "stop", "arguments": {}}, True),
        ("", {"name": "find", "arguments": {"order": "x"}}, False),
        ("", {"name": "stop"}, False),
        ("find", {"name": "find", "arguments": {"order": 5}}, True),
        ("find", {"name": "find", "arguments": {"order": "x"}}, False),
        ("find", {"name": "stop", "arguments": {}}, False),
    ],
)
def test_its_form_holds_the_name_and_the_arguments_with_their_references(demanded, value, holds):
    assert jsonschema.Draft202012Validator(schema_of(demanded)).is_valid(value) is holds


def test_a_tool_that_is_not_offered_cannot_be_asked_for():
    assert request_of_call(OutputContract(None, TOOLS, "other"), BODY) is None


def answered(text, *, streamed):
    head = {"id": "c", "model": "m", "created": 1}
    if not streamed:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return json.dumps({**head, "choices": [choice], "usage": {"prompt_tokens": 3}}).encode()
    parts = [
        {**head, "choices": [{"index": 0, "delta": {"content": part}, "finish_reason": None}]}
        for part in (text[:7], text[7:])
    ]
    parts.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    parts.append({**head, "choices": [], "usage": {"prompt_tokens": 3}})
    return b"".join(b"data: %b\n\n" % json.dumps(part).encode() for part in parts) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("streamed", [False, True])
def test_its_json_is_told_as_the_call(streamed):
    contract = OutputContract(None, TOOLS, "")
    told = told_as_call(
        contract,
        answered('{"name": "find", "arguments": {"order": 5}}', streamed=streamed),
        streamed=streamed,
    )
    answer = answer_of("chat", ENDPOINT, told, streamed=streamed)
    choice = answer.body["choices"][0]
    function = choice["message"]["tool_calls"][0]["function"]
    assert function == {"name": "find", "arguments": '{"order":5}'} and not choice["message"].get("content")
    assert choice["finish_reason"] == "tool_calls" and answer.usage.prompt_tokens == 3
    assert violation_of(contract, answer) is None


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "text", ["", "hello", '{"name": "rm", "arguments": {}}', '{"name": "find"', '{"name": "find"}']
)
def test_what_is_not_whole_stays_as_it_came(text, streamed):
    answer = answered(text, streamed=streamed)
    assert told_as_call(OutputContract(None, TOOLS, ""), answer, streamed=streamed) == answer
    assert told_as_call(OutputContract(None, TOOLS, ""), b"{", streamed=streamed) == b"{"
