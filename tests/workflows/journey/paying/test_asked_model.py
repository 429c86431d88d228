import pytest

from freehold.errors import UsageError
from freehold.types.config_file import parse
from freehold.workflows.journey.paying import asked_model

TEXT = """
[app]
name = "mail"
[incumbent]
model = "rented"
base_url = "http://rented"
api_key_env = "KEY"
price = { prompt = 1, completion = 2 }
[[endpoints]]
name = "house"
base_url = "http://house"
models = ["*", "big"]
[[endpoints]]
name = "any"
base_url = "http://any"
[[endpoints]]
name = "other"
base_url = "http://other"
api = "ollama"
models = ["small"]
"""


def named(name, text=TEXT):
    return asked_model(name, parse(text), role="the writer")


def test_the_incumbent_and_endpoints_are_found_by_name():
    incumbent = named("incumbent")
    assert (incumbent.model, incumbent.endpoint.base_url, incumbent.priced) == (
        "rented",
        "http://rented",
        True,
    )
    assert (named("house").model, named("house/large").model, named("any/large").model) == (
        "big",
        "large",
        "large",
    )
    assert not named("house").priced


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hous", "the writer hous is not one of"),
        ("any", "the endpoint any lists no models, so it is not known which one is the writer"),
        ("other", "the endpoint other speaks the ollama API"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_way_out(name, said):
    with pytest.raises(UsageError, match=said) as caught:
        named(name)
    assert caught.value.hint


def test_an_incumbent_without_an_address_cannot_be_asked():
    with pytest.raises(UsageError, match="no address of it is known"):
        named("incumbent", TEXT.replace('base_url = "http://rented"\n', ""))
