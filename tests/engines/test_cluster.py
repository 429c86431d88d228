"""What a replica does to requests on their way, without Ray."""

import json

import pytest

from freehold.engines.cluster import UnknownNameError, models_of, name_of_replica, rewrite
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel

ENDPOINT = Endpoint(
    name="e",
    engine="llamacpp",
    base_url="http://127.0.0.1:1",
    models=(
        ServedModel(name="base", upstream_name="base"),
        ServedModel(name="base:shop", upstream_name="base", extra_body={"lora": [{"id": 0, "scale": 1}]}),
    ),
    capabilities=Capabilities(),
    context_tokens=512,
)


def test_an_adapters_name_becomes_the_engines_fields():
    found = json.loads(rewrite(b'{"model": "base:shop", "n": 1}', ENDPOINT))
    assert found == {"model": "base", "n": 1, "lora": [{"id": 0, "scale": 1}]}


@pytest.mark.parametrize("body", [b'{"model":  "base"}', b"", b"{", b"[1]", b'{"n": 1}', b'{"model": 3}'])
def test_what_needs_no_change_goes_through_byte_for_byte(body):
    assert rewrite(body, ENDPOINT) == body


def test_a_name_that_is_not_served_is_told_with_those_that_are():
    with pytest.raises(UnknownNameError) as caught:
        rewrite(b'{"model": "gpt-9"}', ENDPOINT)
    error = caught.value.body(ENDPOINT)["error"]
    assert error["code"] == "model_not_found" and "Served: base, base:shop" in error["message"]
    assert [one["id"] for one in models_of(ENDPOINT)["data"]] == ["base", "base:shop"]


def test_outside_ray_a_replica_is_its_process():
    assert name_of_replica().startswith("process-")
