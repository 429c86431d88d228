"""Which translation lies between a client's API and an endpoint's."""

import pytest

from freehold.gateway.proxy.translation import API_ROUTES, translation_for
from freehold.types.endpoint import Capabilities, Endpoint
from freehold.wire.errors import ApiError


def endpoint(engine="llamacpp", api="openai", **can):
    return Endpoint(name="e", engine=engine, api=api, base_url="http://x", capabilities=Capabilities(**can))


def between(path, **where):
    return translation_for(API_ROUTES[path], endpoint(**where))


@pytest.mark.parametrize(
    ("path", "where", "upstream"),
    [
        ("/v1/messages", {}, "/v1/chat/completions"),
        ("/v1/chat/completions", {"engine": "remote", "api": "anthropic"}, "/v1/messages"),
        ("/v1/messages/count_tokens", {"engine": "vllm"}, "/tokenize"),
        ("/v1/messages/count_tokens", {"engine": "ollama"}, "/api/chat"),
    ],
)
def test_where_a_translated_request_goes(path, where, upstream):
    assert between(path, **where).path == upstream


@pytest.mark.parametrize(
    ("path", "where", "why"),
    [
        ("/v1/embeddings", {"engine": "remote", "api": "anthropic"}, "has no embeddings"),
        ("/v1/completions", {"engine": "remote", "api": "anthropic"}, "has no completions"),
        ("/v1/messages/count_tokens", {"engine": "remote"}, "cannot count tokens"),
        ("/v1/chat/completions", {"engine": "ollama", "api": "ollama"}, "cannot be translated"),
    ],
)
def test_what_cannot_be_translated_is_refused(path, where, why):
    with pytest.raises(ApiError, match=why) as refused:
        between(path, **where)
    assert refused.value.status == 400
