"""Which paths are passed on, where the incumbent has them, to whom the owner's key is lent, and the list of models."""

import itertools
import json

import msgspec
import pytest
from aiohttp import web
from tests.gateway.asking import get
from tests.gateway.loopback import eventually, gateway, plain

from freehold.gateway.proxy.paths import check_lent, path_class, place_at, spelled_out
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.wire.errors import ApiError


def at(base_url, **more):
    return Endpoint(name="incumbent", engine="remote", base_url=base_url, **more)


OPENAI = at("https://api.openai.com")
AZURE = at("https://one.openai.azure.com/openai/deployments/d?api-version=2024-10-21", dialect="azure")
GEMINI = at("https://generativelanguage.googleapis.com/v1beta/openai/", dialect="gemini")
ANTHROPIC = at("https://api.anthropic.com", api="anthropic")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/files/file-1/content", "files"),
        ("/openai/deployments/d/images/generations", "azure"),
        ("/api/whatever", "other"),
        ("/wp-login.php", "other"),
    ],
)
def test_a_path_is_counted_by_one_of_few_words(path, name):
    assert path_class(path) == name


@pytest.mark.parametrize(
    ("endpoint", "asked", "place"),
    [
        (OPENAI, "/v1/models/meta%2Fllama-3", "/v1/models/meta%2Fllama-3"),
        (OPENAI, "/v1/models/ft:gpt-4o:org::id", "/v1/models/ft:gpt-4o:org::id"),
        (GEMINI, "/v1/files", "/v1beta/openai/files"),
        (GEMINI, "/v1beta/models/g:generateContent", "/v1beta/models/g:generateContent"),
        (AZURE, "/openai/threads", "/openai/threads?api-version=2024-10-21"),
        (
            at("https://host/anthropic", api="anthropic"),
            "/v1/messages/batches",
            "/anthropic/v1/messages/batches",
        ),
    ],
)
def test_where_the_incumbent_has_a_path(endpoint, asked, place):
    assert place_at(endpoint, spelled_out(asked, endpoint), asked, speaks=endpoint.api) == place


@pytest.mark.parametrize(
    ("endpoint", "asked", "status"),
    [
        (OPENAI, "/v1/messages/batches", 404),
        (OPENAI, "/v1beta/models/g:generateContent", 404),
        (OPENAI, "/api/pull", 404),
        (ANTHROPIC, "/v1/audio/speech", 404),
        *[
            (OPENAI, path, 400)
            for path in (
                "/v1/files/../organization",
                "/v1/files/%2e%2e/x",
                "/v1/models/..%2forganization",
                "/v1/files/#/../organization",
                "/v1/" + "f" * 5000,
            )
        ],
    ],
)
def test_what_is_not_passed_on(endpoint, asked, status):
    with pytest.raises(ApiError) as error:
        place_at(endpoint, spelled_out(asked, endpoint), asked, speaks=endpoint.api)
    assert error.value.status == status


ANSWERS = {
    OPENAI: (
        "POST /v1/chat/completions", "POST /v1/images/generations", "POST /v1/audio/transcriptions",
        "POST /v1/moderations", "POST /v1/responses/input_tokens", "GET /v1/models", "GET /v1/models/meta%2Fllama-3",
        "GET /v1/models/ft:gpt-4o:organization::id", "POST /v1/realtime/calls",
    ),
    GEMINI: (
        "POST /v1beta/models/g:generateContent", "POST /v1beta/models/g:countTokens", "GET /v1beta/models",
    ),
    AZURE: ("POST /openai/deployments/d/images/generations", "POST /openai/responses"),
    ANTHROPIC: ("POST /v1/messages", "POST /v1/messages/count_tokens", "GET /v1/models"),
}  # fmt: skip
STORED = {
    OPENAI: (
        "GET /v1/files", "POST /v1/files", "DELETE /v1/files/file-1", "GET /v1/chat/completions", "POST /v1/batches",
        "DELETE /v1/models/ft:gpt-4o:org::id", "GET /v1/vector_stores/my-projects", "GET /v1/files/organization-chart",
        "POST /v1/threads/t/runs", "GET /v1/responses/resp_1",
    ),
    GEMINI: ("POST /upload/v1beta/files", "GET /v1beta/cachedContents"),
    AZURE: ("GET /openai/files",),
    ANTHROPIC: ("POST /v1/messages/batches", "GET /v1/files"),
}  # fmt: skip
ACCOUNT = (
    "organization/users", "%6frganization/users", "organization;x/users", "%256frganization/users",
    "files;a/organization/users", "projects/proj_1/users/u/roles", "keys", "credits", "auth/keys", "api-key",
    "dashboard/billing/credit_grants", "usage", "accounts/x/apiKeys", "me", "files/..;/x", "files/.%00./x", "files/.x",
    "fine_tuning/checkpoints/c/permissions", "realtime/client_secrets", "realtime/sessions", "files/%2e%2e/keys",
    "chat/completions/../../keys", "Files", "files/x?y", "models;/x", "models/../keys",
)  # fmt: skip


def lent(endpoint, line, *, stored):
    method, _, path = line.partition(" ")
    owned = msgspec.structs.replace(endpoint, api_key_env="KEY")
    try:
        check_lent(owned, method, spelled_out(path, owned), stored=stored)
    except ApiError as error:
        assert (error.status, error.code) == (403, "not_passed_on")
        return False
    return True


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("endpoint", ANSWERS)
def test_the_owners_key_is_lent_for_what_asks_models_and_to_few_for_what_is_stored(endpoint, stored):
    assert not [line for line in ANSWERS[endpoint] if not lent(endpoint, line, stored=stored)]
    assert not [line for line in STORED[endpoint] if lent(endpoint, line, stored=stored) != stored]
    check_lent(endpoint, "GET", "/v1/keys", stored=False)  # a client's own key opens what it opens


@pytest.mark.parametrize("path", ACCOUNT)
def test_no_spelling_of_an_account_is_lent_the_owners_key(path):
    for base, method, stored in itertools.product(ANSWERS, ("GET", "POST", "PUT", "DELETE"), (False, True)):
        for start in ("/v1/", "/", "/v1beta/", "/openai/", "/openai/deployments/d/"):
            assert not lent(base, f"{method} {start}{path}", stored=stored)


def test_whose_files_these_are_is_told_by_the_client():
    with pytest.raises(ApiError, match="the incumbent's API has no such path"):
        place_at(ANTHROPIC, "/v1/files", "/v1/files", speaks="openai")
    assert place_at(ANTHROPIC, "/v1/files", "/v1/files", speaks="anthropic") == "/v1/files"


BEDROCK = "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1"


@pytest.mark.parametrize(
    "path", ["/model/x/delete", "/model/../invoke", "/model/x%2F..%2F/invoke", "/guardrail/x"]
)
def test_other_paths_of_bedrock_are_not_passed_on(path):
    with pytest.raises(ApiError):
        place_at(at(BEDROCK, dialect="bedrock"), path, path, speaks="openai")


SERVED = (ServedModel(name="m", upstream_name="m"), ServedModel(name="own", upstream_name="own"))


@pytest.fixture(scope="module")
def running(_upstream, tmp_path_factory):
    base_url = f"{_upstream.base_url}/v1?api-version=1&a=2"
    one = Endpoint(name="incumbent", engine="remote", base_url=base_url, models=SERVED)
    folder = tmp_path_factory.mktemp("listing")
    with gateway(_upstream, folder, endpoints=(one,), others_to="incumbent") as running:
        yield running


def listed(running):
    return json.loads(get(running, "/v1/models"))["data"]


@pytest.mark.process
def test_the_incumbents_models_stand_next_to_those_here(running, upstream):
    upstream.answer = lambda seen: plain(
        {"data": [{"id": "theirs", "owned_by": "openai"}, {"id": "m", "x": 1}]}
    )
    rows = listed(running)
    assert [row["id"] for row in rows] == ["theirs", "m", "own"] and rows[1]["x"] == 1
    for odd in (plain({"error": {}}, status=401), plain({"data": 5}), plain(b"[" * 100_000)):
        upstream.answer = lambda seen, odd=odd: odd
        assert [row["id"] for row in listed(running)] == ["m", "own"]


@pytest.mark.process
def test_a_list_without_end_is_not_read(running, upstream):
    sent = 0

    def endless(seen):
        async def respond(request):
            nonlocal sent
            response = web.StreamResponse(headers={"content-type": "application/json"})
            await response.prepare(request)
            await response.write(b'{"data": [')
            while True:
                await response.write(b'{"id": "' + b"x" * 60_000 + b'"},')
                sent += 60_000

        return respond

    upstream.answer = endless
    assert [row["id"] for row in listed(running)] == ["m", "own"]
    # What its sockets hold besides the two MiB that are read.
    assert sent < 16 << 20
    eventually(lambda: upstream.aborted)


@pytest.mark.process
def test_the_list_is_asked_with_the_parameters_of_both(running, upstream):
    paths = []
    upstream.answer = lambda seen: (
        lambda request: paths.append(request.raw_path) or plain({"data": []})(request)
    )
    get(running, "/v1/models?a=3&limit=5")
    assert "/v1/models?a=3&limit=5&api-version=1" in paths
