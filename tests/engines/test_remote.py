"""The remote engine's checks, and its first look at an endpoint."""

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
        given = request.headers.get("Authorization"), request.headers.get("x-api-key")
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


async def test_a_wrong_key_names_the_variable(somebody, tmp_path, monkeypatch):
    monkeypatch.setenv("SOMEBODYS_KEY", "wrong")
    with pytest.raises(EngineError, match="answered 401") as caught:
        await engines.start(plan(somebody, api_key_env="SOMEBODYS_KEY"), log_dir=tmp_path, name="far").start()
    assert "SOMEBODYS_KEY" in caught.value.hint


async def test_a_misspelt_model_names_the_nearest(somebody, tmp_path, monkeypatch):
    monkeypatch.setenv("SOMEBODYS_KEY", "right")
    with pytest.raises(EngineError, match="has no model gpt-bigg") as caught:
        await engines.start(
            plan(somebody, "gpt-bigg", api_key_env="SOMEBODYS_KEY"), log_dir=tmp_path, name="far"
        ).start()
    assert "gpt-big" in caught.value.hint


async def test_nobody_there(tmp_path):
    with pytest.raises(EngineError, match="cannot be reached"):
        await engines.start(plan("http://127.0.0.1:9"), log_dir=tmp_path, name="far").start()


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
