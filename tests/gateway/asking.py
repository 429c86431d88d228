"""Ask a gateway under test as a client would, and what its answers are compared with."""

import json
import urllib.error
import urllib.request

import anthropic
import openai
import pytest
from tests.gateway.loopback import ANSWER, eventually

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Wo ist mein Paket? 📦"}]}


def post(running, body, *, path="/v1/chat/completions", headers=None, timeout=10):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        running.base_url + path, data, {"content-type": "application/json", **(headers or {})}
    )
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


def get(running, path, *, key=None):
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    request = urllib.request.Request(running.base_url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def ready(running, *, key=None):
    """What ``/ready`` says when it no longer refuses: on a busy machine a recorder or a probe may be late."""

    def told():
        try:
            return json.loads(get(running, "/ready", key=key))
        except urllib.error.HTTPError as error:
            error.close()
            return None

    return eventually(told)


_clients = []


def client(running):
    _clients.append(openai.OpenAI(base_url=f"{running.base_url}/v1", api_key="sk-upstream", max_retries=0))
    return _clients[-1]


@pytest.fixture(autouse=True)
def _close_clients():
    yield
    while _clients:
        _clients.pop().close()


@pytest.fixture(scope="module")
def served(shared):
    """The gateway that the vendors' clients below ask: a module may give its own."""
    return shared


@pytest.fixture
def gpt(served):
    with openai.OpenAI(base_url=f"{served.base_url}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(served):
    with anthropic.Anthropic(base_url=served.base_url, api_key="x", max_retries=0) as client:
        yield client


def metric(running, name, *, key=None):
    lines = get(running, "/metrics", key=key).decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def structured(content, **more):
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **more},
        "finish_reason": "stop",
    }
    return {**ANSWER, "model": "candidate", "choices": [choice]}


FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "intent",
        "schema": {
            "type": "object",
            "properties": {"intent": {"enum": ["refund", "other"]}},
            "required": ["intent"],
        },
    },
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "find", "parameters": {"type": "object", "required": ["order"]}},
    }
]


def call(name, arguments):
    return [{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}]
