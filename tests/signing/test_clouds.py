"""Which sources there are, and what is said before a start where one cannot be used."""

import contextlib
import logging

import pytest
from tests.signing.vendors import SECRET, Aws, Azure

from freehold.errors import ConfigError, MissingExtraError
from freehold.signing import clouds
from freehold.signing.clouds import check_sources, source_of
from freehold.types.endpoint import Endpoint


@pytest.fixture(autouse=True)
def levels():
    """Those of the libraries' loggers are as they were afterwards."""
    loggers = [logging.getLogger(name) for names in clouds._LOGGERS.values() for name in names]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


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


def test_requests_are_signed_for_a_region(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="names no AWS region"):
        check_sources([endpoint("aws", "https://models.example.com/v1")])
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    check_sources([endpoint("aws", "https://models.example.com/v1")])


@pytest.mark.process
@pytest.mark.parametrize(
    ("kind", "cloud"), [(Aws, "aws"), pytest.param(Azure, "azure", marks=pytest.mark.process)]
)
def test_what_a_library_logs_of_an_answer_is_left_out_unless_it_is_asked_for(
    kind, cloud, upstream, monkeypatch, caplog
):
    made = kind(upstream)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    made.lives_s = 60.0  # botocore fetches newer ones in the last ten minutes
    source = source_of(endpoint(cloud, made.url))
    if cloud == "aws":
        source.fetch()
    made.fails = True
    with contextlib.suppress(Exception):
        source.fetch()
    assert SECRET not in caplog.text
    assert not [one for one in caplog.records if one.name.partition(".")[0] in clouds._LOGGERS[cloud]]
    logging.getLogger("botocore").setLevel(logging.WARNING)
    source_of(endpoint(cloud, made.url))
    assert logging.getLogger("botocore").level == logging.WARNING
