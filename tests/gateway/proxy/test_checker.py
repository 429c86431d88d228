"""Answers are checked in a process that a limit of time ends; what could not be decided counts as broken."""

import asyncio
import json

import pytest

from freehold.gateway.proxy.checker import AnswerChecker
from freehold.gateway.proxy.structured_output import OutputContract
from freehold.types.endpoint import Endpoint

pytestmark = pytest.mark.process

ENDPOINT = Endpoint(name="c", engine="vllm", base_url="http://x")


def check(schema, text):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}

    async def main():
        checker = AnswerChecker()
        try:
            return await checker.violation(
                "chat", ENDPOINT, OutputContract(form, []), json.dumps(answer).encode(), streamed=False
            )
        finally:
            checker.close()

    return asyncio.run(main())


def test_an_answer_that_meets_its_schema_is_held_and_another_is_not():
    schema = {"type": "object", "required": ["a"]}
    assert check(schema, '{"a": 1}') is None
    violation = check(schema, "{}")
    assert "does not meet its schema" in violation.why and not violation.undecided


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, '"' + "a" * 40 + '!"'),
        ({"patternProperties": {"^(a|a)*$": {}}}, '{"' + "a" * 40 + '!": 1}'),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 2}}}, "1"),
        ({"maximum": 10**30}, "1"),
        ({"type": "array", "uniqueItems": True}, json.dumps([{"a": n} for n in range(20_000)])),
    ],
)
def test_a_check_without_end_is_never_a_pass(schema, text):
    assert check(schema, text) is not None
