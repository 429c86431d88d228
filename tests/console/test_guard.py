"""Who is let through, and what leaves: tests/console/test_app.py asks a whole server; here is what it cannot show."""

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from freehold.console import guard
from freehold.console.sessions import Visitor
from freehold.errors import RevisionError, StorageError, StoreError, UsageError
from freehold.types.route import PERMISSIONS


def test_every_permission_has_words_for_its_refusal():
    every = {what for allowed in PERMISSIONS.values() for what in allowed}
    assert set(guard.REFUSALS) == every
    for needs in every:
        guard.visitor_now.set(Visitor("ada", "use"))
        answer = guard.refusal(needs)
        assert (answer is None) == (needs in PERMISSIONS["use"])
        if answer is not None:
            assert answer.status == 403 and "role use" in json.loads(answer.text)["error"]
    guard.visitor_now.set(Visitor("ada", "read", content=True))
    assert guard.refusal("content") is None and guard.refusal("change") is not None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("not yet"), 409),
        (RevisionError("it was changed meanwhile"), 409),
        (StoreError("of another version"), 503),
        (StorageError("no space"), 503),
        (web.HTTPNotFound(), 404),
    ],
)
def test_an_error_is_told_with_what_it_means(error, status):
    async def handler(request):
        raise error

    answer = asyncio.run(guard.plain_errors(make_mocked_request("GET", "/"), handler))
    assert answer.status == status and json.loads(answer.text)["error"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_is_taken_from_the_header_only():
    assert guard.shown_token(make_mocked_request("GET", "/?token=x")) == ""
    assert guard.shown_token(make_mocked_request("GET", "/", headers={"Authorization": "bearer  x "})) == "x"
    assert guard.shown_token(make_mocked_request("GET", "/", headers={"Authorization": "Basic x"})) == ""


def test_the_policy_lets_no_script_style_or_request_of_others_in():
    policy = guard.HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy
