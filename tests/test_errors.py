import pytest

from freehold.errors import (
    HashMismatchError,
    InputError,
    MissingExtraError,
    PortInUseError,
    UpstreamError,
    UsageError,
    did_you_mean,
    nearest,
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


def test_the_way_out_names_a_command():
    assert MissingExtraError("training", "train").hint == "pip install 'freehold[train]'"
    assert "--port 8421" in (PortInUseError("127.0.0.1", 8420).hint or "")


def test_a_hash_mismatch_shows_both():
    error = HashMismatchError("model.gguf", expected="aa", actual="bb")
    assert error.message == "model.gguf: sha256 is bb, expected aa"


def test_only_an_endpoints_errors_are_worth_a_retry():
    assert UpstreamError("503").retryable and not UsageError("no").retryable


def test_the_nearest_known_name():
    assert nearest("margn", ["alpha", "margin"]) == "margin"
    assert nearest("zzz", ["alpha", "margin"]) is None
    assert nearest("alp", ["alphabetical"], cutoff=0.3) == "alphabetical"


def test_a_suggestion_or_something_else():
    assert did_you_mean("margn", ["margin"], "see the guide") == "did you mean margin?"
    assert did_you_mean("zzz", ["margin"], "see the guide") == "see the guide"
