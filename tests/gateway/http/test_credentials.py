"""Headers that say who a client is, told by their names."""

import pytest

from freehold.gateway.http.credentials import KEY_HEADERS, holds_own_key, is_credential
from freehold.gateway.limits.keys import new_key

SECRET = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "x-auth-token",
    "x-amz-security-token",
    "helicone-auth",
    "x-portkey-virtual-key",
    "cookie",
    "x-tenant-id",
    "ssl-client-cert",
]
PLAIN = [
    "content-type",
    "user-agent",
    "accept",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "baggage",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "x-request-id",
    "x-stainless-retry-count",
    "x-stainless-runtime-version",
]


@pytest.mark.parametrize("name", SECRET)
def test_what_names_a_key_or_an_account(name):
    assert is_credential(name)


@pytest.mark.parametrize("name", PLAIN)
def test_what_names_neither(name):
    assert not is_credential(name)


def test_each_header_of_a_key_is_a_credential():
    assert all(is_credential(name) for name in KEY_HEADERS)


def test_a_key_of_this_gateway_is_known_by_its_form():
    assert all(holds_own_key(text) for key in [new_key()] for text in (key, f"Bearer {key}", f"a={key};"))
    assert not holds_own_key("Bearer sk-fh-1") and not holds_own_key("fh-short") and not holds_own_key("")
