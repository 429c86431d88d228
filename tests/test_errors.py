import pytest

from freehold.errors import (
    InputError,
    UpstreamError,
    UsageError,
)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "malformed"),
        ({"path": "a.jsonl"}, "a.jsonl: malformed"),
        ({"path": "a.jsonl", "line": 3}, "a.jsonl:3: malformed"),
    ],
)
def test_an_input_error_begins_with_its_place(where, message):
    error = InputError("malformed", **where, hint="mend it")
    assert (str(error), error.message, error.hint, error.exit_code) == (message, message, "mend it", 2)


def test_only_an_endpoints_errors_are_worth_a_retry():
    assert UpstreamError("503").retryable and not UsageError("no").retryable
