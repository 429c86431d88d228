import json

import pytest
from aiohttp import web
from tests.gateway.asking import get
from tests.gateway.loopback import eventually, gateway, plain

from freehold.types.endpoint import Endpoint, ServedModel

pytestmark = pytest.mark.process

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


def test_the_incumbents_models_stand_next_to_those_here(running, upstream):
    upstream.answer = lambda seen: plain(
        {"data": [{"id": "theirs", "owned_by": "openai"}, {"id": "m", "x": 1}]}
    )
    rows = listed(running)
    assert [row["id"] for row in rows] == ["theirs", "m", "own"] and rows[1]["x"] == 1
    for odd in (plain({"error": {}}, status=401), plain({"data": 5}), plain(b"[" * 100_000)):
        upstream.answer = lambda seen, odd=odd: odd
        assert [row["id"] for row in listed(running)] == ["m", "own"]


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


def test_the_list_is_asked_with_the_parameters_of_both(running, upstream):
    paths = []
    upstream.answer = lambda seen: (
        lambda request: paths.append(request.raw_path) or plain({"data": []})(request)
    )
    get(running, "/v1/models?a=3&limit=5")
    assert "/v1/models?a=3&limit=5&api-version=1" in paths
