import msgspec
import pytest

from freehold.evals.chat.requests import chat_request, recorded_parameters, request_key
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task

TASK = Task(name="t", scorer="exact", max_tokens=9, temperature=0.5)
SERVED = ServedModel(name="base:ad", upstream_name="base", extra_body={"lora": [1]}, adapter_id="a1")
SAMPLE = Sample(
    id="s",
    messages=(
        Message(role="user", content="?"),
        Message(role="assistant", content=None, tool_calls=[{"id": "x"}], weight=0.0),
    ),
)
LOCAL = Endpoint(name="local", engine="llamacpp", base_url="http://127.0.0.1:1")
REMOTE = Endpoint(name="remote", engine="remote", base_url="http://one")


def test_a_request_is_the_sample_the_task_and_what_the_served_model_needs():
    body = chat_request(SAMPLE, SERVED, TASK)
    assert body == {
        "model": "base",
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
        ],
        "max_tokens": 9,
        "temperature": 0.5,
        "lora": [1],
    }
    rich = msgspec.structs.replace(SAMPLE, tools=[{"t": 1}], response_format={"type": "json_object"})
    body = chat_request(rich, SERVED, TASK)
    assert (body["tools"], body["response_format"]) == ([{"t": 1}], {"type": "json_object"})


def test_a_samples_own_parameters_stand_in_for_the_tasks():
    body = chat_request(SAMPLE, SERVED, TASK, {"top_p": 0.3})
    assert body["top_p"] == 0.3
    assert "max_tokens" not in body
    assert "temperature" not in body


def test_of_a_recorded_request_everything_but_the_seed_is_asked_again():
    request = {"model": "m", "messages": [], "seed": 4, "temperature": 0.0, "stop": None, "top_p": 0.9}
    assert recorded_parameters(request) == {"temperature": 0.0, "top_p": 0.9}


@pytest.mark.parametrize(
    ("served", "endpoint", "repeat", "same"),
    [
        (SERVED, LOCAL, 0, True),
        (SERVED, msgspec.structs.replace(LOCAL, base_url="http://127.0.0.1:2"), 0, True),
        (SERVED, LOCAL, 1, False),
        (msgspec.structs.replace(SERVED, adapter_id="a2"), LOCAL, 0, False),
        (SERVED, REMOTE, 0, False),
    ],
)
def test_an_answer_is_found_again_only_by_the_same_request_to_the_same_model(served, endpoint, repeat, same):
    body = chat_request(SAMPLE, SERVED, TASK)
    key = request_key(body, SERVED, LOCAL)
    assert (request_key(body, served, endpoint, repeat) == key) is same


def test_a_remote_api_is_its_address():
    body = chat_request(SAMPLE, SERVED, TASK)
    other = msgspec.structs.replace(REMOTE, base_url="http://two")
    assert request_key(body, SERVED, REMOTE) != request_key(body, SERVED, other)
    assert request_key(body, SERVED, REMOTE) != request_key({**body, "top_p": 1}, SERVED, REMOTE)
