import pytest

from freehold.gateway.http.credentials import protocols_without_keys, query_without_keys
from freehold.gateway.http.headers import forwarded, passes_key
from freehold.gateway.limits.keys import new_key
from freehold.types.endpoint import Endpoint

THERE = Endpoint(name="incumbent", engine="remote", base_url="https://host", forward_client_key=True)
SENT = [
    ("authorization", "Bearer sk"),
    ("openai-project", "p"),
    ("cookie", "a"),
    ("x-note", "n"),
    ("upgrade", "x"),
]


@pytest.mark.parametrize(
    ("changes", "keys_here", "passes"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"api_key_env": "KEY"}, False, False),
        ({"forward_client_key": False}, False, False),
        ({"engine": "vllm"}, False, False),
    ],
)
def test_whom_a_clients_key_is_for(changes, keys_here, passes):
    fields = {"name": "e", "engine": "remote", "base_url": "https://host", "forward_client_key": True}
    assert passes_key(Endpoint(**(fields | changes)), keys_here=keys_here) == passes


def test_which_headers_go_to_the_endpoint():
    assert forwarded(THERE, SENT, keys_here=False, compressed=False) == [*SENT[:2], SENT[3]]
    assert forwarded(THERE, SENT, keys_here=True, compressed=False) == [SENT[1], SENT[3]]
    assert forwarded(THERE, [("accept-encoding", "br, gzip")], keys_here=False, compressed=True) == [
        ("accept-encoding", "gzip")
    ]


def test_which_parameters_do():
    own = new_key()
    assert (
        query_without_keys("a=1&key=k&api-version=v&pageToken=t", key_too=False)
        == "a=1&api-version=v&pageToken=t"
    )
    assert query_without_keys(f"key=k&x={own}", key_too=True) == "key=k"


def test_which_protocols_do():
    assert protocols_without_keys("realtime, openai-insecure-api-key.sk", key_too=False) == "realtime"
    assert protocols_without_keys("realtime,openai-insecure-api-key.sk", key_too=True) == (
        "realtime, openai-insecure-api-key.sk"
    )
