import tomllib
from decimal import Decimal

import pytest

from freehold.workflows.journey.converting.addresses import VendorAddress
from freehold.workflows.journey.converting.parts import (
    ConfigParts,
    ConvertedModel,
    plain_name,
    toml_value,
    unique,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("os.environ/AZURE_KEY", "AZURE_KEY"),
        ("sk-live", "USUAL"),
        ("os.environ/not a name", "USUAL"),
        (None, "USUAL"),
    ],
)
def test_a_key_is_the_name_of_a_variable(text, name):
    parts = ConfigParts("app", "f")
    assert parts.key(text, "USUAL", "here") == name
    assert list(parts.environment) == [name]


@pytest.mark.parametrize(
    "value",
    [True, 3, 2.5, Decimal("0.0000001"), Decimal("20000"), 'a "b" \\ \n\x7f\x00é', ["a", 1],
     {"a b": [1], "c": {"d": True}},
     ["x" * 60, "y" * 60]],
)  # fmt: skip
def test_values_are_what_toml_reads(value):
    assert tomllib.loads(f"v = {toml_value(value)}", parse_float=Decimal)["v"] == (
        Decimal(str(value)) if isinstance(value, float) else value
    )


def test_names_are_plain_and_each_once():
    assert plain_name("Meta/Llama 3.1 (8B)") == "meta-llama-3-1-8b"
    assert plain_name("é") == "other"
    assert unique("a", {"a", "a-2"}) == "a-3"


def test_two_deployments_at_one_address_are_one_endpoint():
    parts = ConfigParts("app", "f")
    place = VendorAddress(base_url="http://gpu:8000/v1")
    parts.route(
        "a", [ConvertedModel(place, "x"), ConvertedModel(place, "x"), ConvertedModel(place, "y")], "here"
    )
    assert len(parts.endpoints) == 1
    assert parts.routes[0]["fallback"] == [{"endpoint": "gpu", "model": "y"}]
