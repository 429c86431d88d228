"""Commands ask a vendor themselves, with its key or with credentials of its cloud, and the vendor checks them."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from tests.signing.vendors import SECRET

from freehold.errors import UpstreamError, UsageError
from freehold.evals.client import ChatClient
from freehold.signing.signer import OwnCredentials
from freehold.types.endpoint import Endpoint

AZURE = pytest.param("azure", marks=pytest.mark.process)  # its library starts one
CLOUDS = ["aws", "google", AZURE]
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "é?"}]}


def endpoint(base_url, **more):
    return Endpoint(name="incumbent", engine="remote", base_url=base_url, **more)


def sent(url, headers, body=None):
    request = urllib.request.Request(url, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status


@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_a_request_without_a_loop_carries_what_the_vendor_checks(cloud):
    own = OwnCredentials(endpoint(cloud.url, credentials=cloud.name))
    listing, chats = f"{cloud.url}/v1/models?limit=1000", f"{cloud.url}/v1/chat/completions"
    assert sent(listing, own.headers_now("GET", listing)) == 200, cloud.refused
    body = json.dumps(QUESTION).encode()
    assert sent(chats, own.headers_now("POST", chats, body), body) == 200, cloud.refused
    with pytest.raises(urllib.error.HTTPError):
        sent(chats, {}, body)


@pytest.mark.parametrize("cloud", CLOUDS, indirect=True)
def test_a_chat_client_signs_each_request_and_fetches_once(cloud, upstream):
    async def ask():
        async with ChatClient(
            endpoint(f"{cloud.url}/v1", credentials=cloud.name), concurrency=4, stream=False
        ) as client:
            return await asyncio.gather(*(client.ask({**QUESTION, "n": n}) for n in range(4)))

    answers = asyncio.run(ask())
    assert [one.output for one in answers] == ["on its way"] * 4, (answers, cloud.refused)
    assert cloud.number == 1 and not cloud.refused
    assert sum(seen.path == "/v1/chat/completions" for seen in upstream.seen) == 4


@pytest.mark.parametrize("cloud", ["aws", "google"], indirect=True)
def test_without_credentials_nothing_is_asked_and_no_secret_is_told(cloud, upstream):
    cloud.fails = True

    async def ask():
        async with ChatClient(endpoint(cloud.url, credentials=cloud.name), concurrency=1) as client:
            return await client.ask(QUESTION)

    own = OwnCredentials(endpoint(cloud.url, credentials=cloud.name))
    for attempt in (lambda: asyncio.run(ask()), lambda: own.headers_now("GET", f"{cloud.url}/v1/models")):
        with pytest.raises(
            UpstreamError, match="endpoint incumbent is not asked: no credentials of"
        ) as refused:
            attempt()
        assert SECRET not in str(refused.value)
    assert not [seen for seen in upstream.seen if seen.path.startswith("/v1")]


@pytest.mark.parametrize("cloud", ["google", AZURE], indirect=True)
def test_credentials_that_have_ended_are_not_sent(cloud):
    cloud.lives_s = -60.0
    own = OwnCredentials(endpoint(cloud.url, credentials=cloud.name))
    listing = f"{cloud.url}/v1/models"
    for attempt in (
        lambda: asyncio.run(own.headers("GET", listing)),
        lambda: own.headers_now("GET", listing),
    ):
        with pytest.raises(UpstreamError, match="have ended by this machine's clock"):
            attempt()


@pytest.mark.parametrize(
    ("base_url", "api", "expected"),
    [
        ("https://api.openai.com/v1", "openai", {"authorization": "Bearer k-1"}),
        ("https://x.openai.azure.com", "openai", {"api-key": "k-1"}),
        (
            "https://api.anthropic.com",
            "anthropic",
            {"anthropic-version": "2023-06-01", "x-api-key": "k-1"},
        ),
    ],
)
def test_a_key_goes_where_the_vendor_looks_for_it(monkeypatch, base_url, api, expected):
    monkeypatch.setenv("OWN_KEY", "k-1")
    own = OwnCredentials(endpoint(base_url, api=api, api_key_env="OWN_KEY"))
    assert own.headers_now("GET", f"{base_url}/v1/models") == expected
    assert asyncio.run(own.headers("GET", f"{base_url}/v1/models")) == expected
    monkeypatch.delenv("OWN_KEY")
    with pytest.raises(UsageError, match="OWN_KEY is not set"):
        OwnCredentials(endpoint(base_url, api=api, api_key_env="OWN_KEY"))
