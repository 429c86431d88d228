"""The job of the processes that check answers."""

import json

import msgspec

from freehold.gateway.proxy.checking import JOBS
from freehold.gateway.proxy.structured_output import ContractViolation, OutputContract
from freehold.types.endpoint import Endpoint

ENDPOINT = Endpoint(name="c", engine="vllm", base_url="http://x")
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"required": ["q"]}}}


def test_the_job_reads_what_a_worker_sends():
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    answer = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    check = msgspec.msgpack.encode(("chat", ENDPOINT, False, OutputContract(None, [TOOL])))
    (found,) = JOBS["violation"]([check, json.dumps(answer).encode()])
    violation = msgspec.msgpack.decode(found, type=ContractViolation | None)
    assert violation.tool == "find" and "schema" in violation.why
