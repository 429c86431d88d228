"""What a request says about its answer's form, whether an answer meets it, and how to ask once more."""

import json

import pytest
from tests.gateway.asking import FORM, TOOLS, call, structured
from tests.gateway.loopback import stream_of

from freehold.gateway.proxy.structured_output import (
    ContractViolation,
    OutputContract,
    answer_of,
    constrained_request,
    contract_of,
    demanded_tool,
    demands_a_tool,
    violation_of,
)
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.types.endpoint import Capabilities, Endpoint
from freehold.wire import openai

SCHEMA = FORM["json_schema"]["schema"]
FIND = {"type": "function", "function": {"name": "find"}}


def request_of(body, path="/v1/chat/completions"):
    data = json.dumps(body).encode()
    return API_ROUTES[path].kind, data, openai.peek(data)


def endpoint(engine="llamacpp", api="openai", **can):
    return Endpoint(
        name="e",
        engine=engine,
        api=api,
        base_url="http://x",
        capabilities=Capabilities(**{"json_schema": True, "tools": True, **can}),
    )


def violation(contract, content=None, *, finish="stop", **more):
    body = structured(content, **more)
    body["choices"][0]["finish_reason"] = finish
    answer = answer_of("chat", endpoint(), json.dumps(body).encode(), streamed=False)
    return violation_of(contract, answer)


@pytest.mark.parametrize(
    ("body", "contract"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": FORM}, OutputContract(FORM, [])),
        ({"response_format": {"type": "json_object"}}, OutputContract({"type": "json_object"}, [])),
        ({"tools": []}, None),
        ({"tools": TOOLS}, OutputContract(None, TOOLS)),
        ({"tools": TOOLS, "tool_choice": "required"}, OutputContract(None, TOOLS, "")),
        ({"tools": TOOLS, "tool_choice": FIND}, OutputContract(None, TOOLS, "find")),
        ({"tools": TOOLS, "tool_choice": "auto"}, OutputContract(None, TOOLS)),
    ],
)
def test_the_contract_of_a_chat(body, contract):
    assert contract_of(*request_of({"model": "m", **body})) == contract


def test_the_contract_in_other_apis():
    tool = {"name": "find", "input_schema": {"type": "object"}}
    body = {"model": "m", "max_tokens": 5, "messages": [], "tools": [tool], "tool_choice": {"type": "any"}}
    contract = contract_of(*request_of(body, "/v1/messages"))
    assert contract.tools[0]["function"]["name"] == "find" and contract.demanded == ""
    text = {"format": {"type": "json_schema", "name": "f", "schema": SCHEMA}}
    contract = contract_of(*request_of({"model": "m", "input": "x", "text": text}, "/v1/responses"))
    assert contract.schema == SCHEMA
    assert contract_of(*request_of({"model": "m", "input": ["json_"]}, "/v1/embeddings")) is None


def test_a_contract_that_cannot_be_read_is_none():
    body = {"model": "m", "max_tokens": 5, "messages": "hello", "tools": [7]}
    assert contract_of(*request_of(body, "/v1/messages")) is None


@pytest.mark.parametrize("schema", [None, 5, "x"])
def test_json_without_a_schema_is_an_object(schema):
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert OutputContract(form, []).schema == {"type": "object"}
    assert OutputContract(None, []).schema == {"type": "object"}


@pytest.mark.parametrize(
    ("contract", "content", "more", "why"),
    [
        (OutputContract(FORM, []), '{"intent":"refund"}', {}, None),
        (OutputContract(FORM, []), '{"intent":"poem"}', {}, "does not meet its schema at $.intent"),
        (OutputContract(FORM, []), "Sure!", {}, "the answer is not JSON"),
        (OutputContract(FORM, []), None, {}, "the answer is not JSON"),
        (OutputContract(FORM, []), None, {"refusal": "no"}, None),
        (OutputContract({"type": "json_object"}, []), "[1]", {}, "not a JSON object"),
        (OutputContract({"type": "json_object"}, []), "{}", {}, None),
        (OutputContract(None, TOOLS), "no tool needed", {}, None),
        (OutputContract(None, TOOLS), None, {"tool_calls": call("find", '{"order":1}')}, None),
        (OutputContract(None, TOOLS), None, {"tool_calls": call("find", "{}")}, "does not meet its schema"),
        (OutputContract(None, TOOLS), None, {"tool_calls": call("find", "{")}, "find are not JSON"),
        (OutputContract(None, TOOLS), None, {"tool_calls": call("rm", "{}")}, "rm was not offered"),
        (OutputContract(None, TOOLS), None, {"tool_calls": [{"id": "1"}]}, "without a function"),
        (OutputContract(None, TOOLS, ""), "words", {}, "the request demands one"),
        (OutputContract(FORM, TOOLS), None, {"tool_calls": call("find", '{"order":1}')}, None),
    ],
)
def test_whether_an_answer_meets_its_contract(contract, content, more, why):
    found = violation(contract, content, **more)
    assert (found is None) if why is None else (why in found.why)


def test_a_violation_says_which_tool_and_whether_the_answer_was_cut():
    assert violation(OutputContract(None, TOOLS), None, tool_calls=call("find", "{}")).tool == "find"
    assert violation(OutputContract(None, TOOLS, "find"), "words").tool == "find"
    cut = violation(OutputContract(FORM, []), '{"intent":', finish="length")
    assert cut.tool is None and cut.cut


def test_an_answer_that_cannot_be_read_is_a_violation():
    for body in (b"{", b"[1]", b'{"choices": 5}'):
        answer = answer_of("chat", endpoint(), body, streamed=False)
        assert violation_of(OutputContract(FORM, []), answer).why == "the answer cannot be read"


def test_a_stream_is_judged_as_a_whole():
    data = b"".join(stream_of('{"intent":', '"refund"}'))
    answer = answer_of("chat", endpoint(), data, streamed=True)
    assert violation_of(OutputContract(FORM, []), answer) is None


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:1/schema.json"}, {"$ref": "#/nowhere"}]
)
def test_a_schema_that_cannot_be_checked_is_a_violation_and_fetches_nothing(schema):
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert violation(OutputContract(form, []), "{}").why == "the request's schema cannot be checked"


def constrained(contract, broken, where, **body):
    data = json.dumps({"model": "m", **body}).encode()
    again = constrained_request(contract, broken, where, data)
    return again and json.loads(again)


def test_a_text_is_asked_for_once_more_by_its_schema_and_without_tools():
    sent = constrained(OutputContract(FORM, TOOLS), ContractViolation("x"), endpoint(), tools=TOOLS, seed=7)
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (sent["tools"], sent["tool_choice"], sent["seed"]) == (None, None, 7)
    sent = constrained(OutputContract(FORM, []), ContractViolation("x"), endpoint("vllm"))
    assert sent["structured_outputs"] == {"json": SCHEMA} and "tools" not in sent


def test_a_call_is_asked_for_once_more_as_a_call_of_that_tool():
    other = {"type": "function", "function": {"name": "look"}}
    contract = OutputContract(None, [other, *TOOLS], "")
    sent = constrained(contract, ContractViolation("x", "find"), endpoint())
    assert (sent["tools"], sent["tool_choice"]) == (TOOLS, "required")
    sent = constrained(contract, ContractViolation("x", ""), endpoint())
    assert sent["tools"] == [other, *TOOLS]


def test_where_asking_once_more_helps_nothing_it_is_not_done():
    contract, broken = OutputContract(FORM, []), ContractViolation("x")
    assert constrained(contract, ContractViolation("x", None, True), endpoint()) is None
    assert constrained(contract, broken, endpoint(api="anthropic")) is None
    assert constrained(contract, broken, endpoint(json_schema=False)) is None
    first = constrained_request(contract, broken, endpoint(), b'{"model":"m"}')
    assert constrained_request(contract, broken, endpoint(), first) is None, "it would be the same request"


def test_which_tool_is_demanded():
    assert (demanded_tool("required"), demanded_tool(FIND)) == ("", "find")
    assert demanded_tool("auto") is None and demanded_tool(None) is None
    assert demands_a_tool(b'{"tool_choice":"required"}')
    for body in (b"{}", b'{"tool_choice":"none"}', b'{"tool_choice":', b'{"x":"tool_choice"}'):
        assert not demands_a_tool(body)
