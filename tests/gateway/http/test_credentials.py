"""Headers that say who a client is, told by their names."""

from freehold.gateway.http.headers import holds_own_key, is_credential
from freehold.gateway.limits.keys import new_key

SECRET = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "openai-organization",
    "x-auth-token",
    "x-amz-security-token",
    "cookie",
    "x-tenant-id",
]
PLAIN = [
    "content-type",
    "idempotency-key",
    "traceparent",
    "anthropic-version",
    "openai-beta",
    "x-request-id",
    "x-stainless-retry-count",
]


def test_what_names_a_key_or_an_account():
    assert [name for name in (*SECRET, *PLAIN) if is_credential(name)] == SECRET


def test_a_key_of_this_gateway_is_known_by_its_form():
    assert all(holds_own_key(text) for key in [new_key()] for text in (key, f"Bearer {key}", f"a={key};"))
    assert not holds_own_key("Bearer sk-fh-1") and not holds_own_key("fh-short") and not holds_own_key("")
