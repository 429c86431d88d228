import pytest

from freehold.gateway.proxy.passing.paths import path_class, place_at, spelled_out
from freehold.types.endpoint import Endpoint
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
        (at("https://api.openai.com", api_key_env="KEY"), "/v1/organization/users", 403),
        *[
            (at("https://api.openai.com", api_key_env="KEY"), path, 403)
            for path in (
                "/v1/%6frganization/users",
                "/v1/organization;x/users",
                "/v1/%256frganization/users",
                "/v1/files;a/organization/users",
                "/v1/projects/proj_1/users/u/roles",
            )
        ],
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


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/ft:gpt-4o:organization::id",
        "/v1/files/organization-chart",
        "/v1/vector_stores/my-projects",
    ],
)
def test_a_name_that_only_sounds_like_the_account_is_passed_on(path):
    endpoint = at("https://api.openai.com", api_key_env="KEY")
    assert place_at(endpoint, spelled_out(path, endpoint), path, speaks="openai") == path


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
