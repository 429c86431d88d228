import json

import pytest
from aiohttp import web
from tests.gateway.asking import get
from tests.gateway.loopback import eventually, gateway, plain

from freehold.gateway.proxy.passing.listing import _listed
from freehold.types.endpoint import Endpoint, ServedModel

pytestmark = pytest.mark.process


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"data": 5}', b'{"data": [1, {"id": 2}]}', b"[" * 100_000])
def test_what_is_not_a_list_of_models_lists_none(body):
    assert _listed(body) == []


def test_the_incumbents_models_stand_next_to_those_here(upstream, tmp_path):
    upstream.answer = lambda seen: plain(
        {"data": [{"id": "theirs", "owned_by": "openai"}, {"id": "m", "x": 1}]}
    )
    served = (ServedModel(name="m", upstream_name="m"), ServedModel(name="own", upstream_name="own"))
    one = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=served)
    with gateway(upstream, tmp_path, endpoints=(one,), others_to="incumbent") as running:
        rows = json.loads(get(running, "/v1/models"))["data"]
        assert [row["id"] for row in rows] == ["theirs", "m", "own"] and rows[1]["x"] == 1
        upstream.answer = lambda seen: plain({"error": {}}, status=401)
        assert [row["id"] for row in json.loads(get(running, "/v1/models"))["data"]] == ["m", "own"]


def test_a_list_without_end_is_not_read(upstream, tmp_path):
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
    served = (ServedModel(name="own", upstream_name="own"),)
    one = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=served)
    with gateway(upstream, tmp_path, endpoints=(one,), others_to="incumbent") as running:
        assert [row["id"] for row in json.loads(get(running, "/v1/models"))["data"]] == ["own"]
        # What its sockets hold besides the two MiB that are read.
        assert sent < 16 << 20
        eventually(lambda: upstream.aborted)


def test_the_list_is_asked_with_the_parameters_of_both(upstream, tmp_path):
    paths = []
    upstream.answer = lambda seen: (
        lambda request: paths.append(request.raw_path) or plain({"data": []})(request)
    )
    one = Endpoint(name="incumbent", engine="remote", base_url=f"{upstream.base_url}/v1?api-version=1&a=2")
    with gateway(upstream, tmp_path, endpoints=(one,), others_to="incumbent") as running:
        get(running, "/v1/models?a=3&limit=5")
    assert paths[-1] == "/v1/models?a=3&limit=5&api-version=1"
