"""Which sources there are, and what is said before a start where one cannot be used."""

import pytest

from freehold.errors import ConfigError, MissingExtraError
from freehold.gateway.http.signing import clouds
from freehold.gateway.http.signing.clouds import check_sources, source_of
from freehold.types.endpoint import Endpoint


def endpoint(cloud, base_url="https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1"):
    return Endpoint(name="incumbent", engine="remote", base_url=base_url, credentials=cloud)


@pytest.mark.parametrize("cloud", ["aws", "google", "azure"])
def test_a_missing_library_is_said_with_its_extra(cloud, monkeypatch):
    check_sources([endpoint(cloud), endpoint(None)])
    assert type(source_of(endpoint(cloud))).__name__.lower() == f"{cloud}source"
    monkeypatch.setattr(clouds.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=f"needs the extra '{cloud}'") as caught:
        check_sources([endpoint(cloud)])
    assert caught.value.hint == f"pip install 'freehold[{cloud}]'"
    check_sources([endpoint(None)])


def test_a_package_whose_parent_is_missing_is_missing():
    assert not clouds._is_there("no_such_package.at.all")


def test_requests_are_signed_for_a_region(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="names no AWS region"):
        check_sources([endpoint("aws", "https://models.example.com/v1")])
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    check_sources([endpoint("aws", "https://models.example.com/v1")])
