"""The remote engine in front of OpenAI-compatible and Anthropic endpoints."""

import pytest
from aiohttp import web
from tests.engines.conftest import serving

from freehold import engines
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = pytest.mark.anyio


@pytest.fixture
async def somebody(anyio_backend):
    """An endpoint that wants the key ``right`` and lists one model."""

    async def models(request):
        assert request.path == "/v1/models"
        given = request.headers.get("Authorization"), request.headers.get("x-api-key")
        if given == ("Bearer unlucky", None):
            return web.Response(status=503)
        if given not in (("Bearer right", None), (None, "right")):
            return web.json_response({"error": "who are you"}, status=401)
        return web.json_response({"data": [{"id": "gpt-big"}]})

    async with serving(models) as url:
        yield url


def plan(url, model="gpt-big", **options):
    return ServePlan(engine="remote", model=model, options={"base_url": url, **options})


@pytest.mark.parametrize("api", ["openai", "anthropic"])
async def test_the_key_goes_where_the_api_wants_it(somebody, tmp_path, monkeypatch, api):
    monkeypatch.setenv("SOMEBODYS_KEY", "right")
    asked = plan(somebody, api=api, api_key_env="SOMEBODYS_KEY")
    async with engines.start(asked, log_dir=tmp_path, name="far") as endpoint:
        assert (endpoint.api, endpoint.api_key_env) == (api, "SOMEBODYS_KEY")
        assert "right" not in repr(endpoint), "keys are never stored"


@pytest.mark.parametrize(
    ("key", "model", "url", "says", "hint"),
    [
        ("wrong", "gpt-big", None, "refuses the key", "SOMEBODYS_KEY"),
        ("unlucky", "gpt-big", None, "answers with status 503", "try again"),
        ("right", "gpt-bigg", None, "has no model gpt-bigg", "gpt-big"),
        ("right", "gpt-big", "http://127.0.0.1:9", "nothing answers at", ""),
    ],
)
async def test_what_does_not_answer_as_it_must_is_no_endpoint(
    somebody, tmp_path, monkeypatch, key, model, url, says, hint
):
    monkeypatch.setenv("SOMEBODYS_KEY", key)
    asked = plan(url or somebody, model, api_key_env="SOMEBODYS_KEY")
    with pytest.raises(EngineError, match=says) as caught:
        await engines.start(asked, log_dir=tmp_path, name="far").start()
    assert hint in caught.value.hint


async def test_mistakes_are_told_before_the_start(monkeypatch):
    with pytest.raises(UsageError, match="expected http"):
        engines.check(plan("localhost:8000"))
    engines.check(plan("http://host/v1"))
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(UsageError, match="NOT_SET, which is not set"):
        engines.check(plan("http://host", api_key_env="NOT_SET"))
    mounted = ServePlan(
        engine="remote",
        model="m",
        options={"base_url": "http://host"},
        adapters=(AdapterMount(name="m:x", path="x"),),
    )
    with pytest.raises(EngineError, match="cannot be given adapters"):
        engines.check(mounted)
