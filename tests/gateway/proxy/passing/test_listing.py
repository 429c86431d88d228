import json

import pytest
from tests.gateway.asking import get
from tests.gateway.loopback import gateway, plain

from freehold.gateway.proxy.passing.listing import _listed
from freehold.types.endpoint import Endpoint, ServedModel


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
