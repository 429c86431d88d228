"""What the tables about traffic refuse."""

import pytest

from freehold.types.config import TelemetryConfig


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({}, None),
        ({"otlp_endpoint": "http://127.0.0.1:4318"}, None),
        ({"otlp_endpoint": "https://c/otlp", "otlp_headers_env": {"x-team": "TEAM"}}, None),
        ({"otlp_endpoint": "c:4318"}, "expected an http:// or https:// address"),
        ({"otlp_endpoint": "ftp://c"}, "expected an http:// or https:// address"),
        ({"otlp_endpoint": "http://"}, "expected an http:// or https:// address"),
        ({"otlp_endpoint": "http://[::1"}, "expected an http:// or https:// address"),
        ({"otlp_endpoint": "http://c:99999"}, "expected an http:// or https:// address"),
        ({"otlp_endpoint": "http://c?x=1"}, "without a query"),
        ({"otlp_endpoint": "http://me:secret-word@c"}, "holds a name or a password"),
        ({"otlp_headers_env": {"a": "B"}}, "otlp_endpoint, which they are for, is not"),
        ({"otlp_endpoint": "http://c", "otlp_headers_env": {"a b": "B"}}, "a header's and a variable's name"),
        ({"otlp_endpoint": "http://c", "otlp_headers_env": {"a": ""}}, "a header's and a variable's name"),
    ],
)
def test_where_spans_go_must_be_an_address_and_hold_no_secret(said, problem):
    found = TelemetryConfig(**said).problem
    assert (found is None) if problem is None else (problem in (found or ""))
    assert "secret-word" not in (found or "")
