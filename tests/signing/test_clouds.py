"""Requests to clouds: where their credentials come from, what is signed, and who asks with them."""

import contextlib
import logging

import pytest
from tests.signing.vendors import SECRET, Aws, Azure

from freehold.errors import ConfigError, MissingExtraError
from freehold.signing import clouds
from freehold.signing.clouds import (
    AwsSource,
    CredentialError,
    check_sources,
    signed_for,
    source_of,
    without_signature,
)
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


PATHLESS = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**PATHLESS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("base_url", "service", "region"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "bedrock", "us-east-1"),
        ("https://bedrock-mantle.ap-southeast-2.api.aws/v1", "bedrock-mantle", "ap-southeast-2"),
        ("https://models.example.com/v1", "bedrock", None),
    ],
)
def test_the_scope_is_read_from_the_address(base_url, service, region, monkeypatch):
    assert signed_for(base_url) == (service, region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert signed_for(base_url) == (service, region or "eu-north-1")


def test_a_chain_without_credentials_is_said():
    with pytest.raises(CredentialError, match="is empty"):
        AwsSource("http://127.0.0.1:1").fetch()


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_an_end_of_a_line_in_a_key_is_said_and_not_sent(name, monkeypatch):
    source = AwsSource("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(variable, "AKID")
    monkeypatch.setenv(name, "AKID\n")
    with pytest.raises(CredentialError, match="no header can carry"):
        source.fetch()
    monkeypatch.setenv(name, "AKID")
    assert source.fetch().value.access_key == "AKID"


def test_a_key_that_is_exchanged_is_read_again(monkeypatch):
    source = AwsSource("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1")
    seen = []
    for number in (1, 2):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"AKID{number}")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-word")
        issued = source.fetch()
        assert issued.expires_s is None
        sent = dict(source.headers(issued.value, "POST", "https://h/v1/x", [("content-type", "a/b")], b"{}"))
        seen.append(sent["authorization"].split("/")[0])
        assert "SignedHeaders=content-type;host;x-amz-date" in sent["authorization"]
        assert "secret-word" not in str(sent)
    assert seen == ["AWS4-HMAC-SHA256 Credential=AKID1", "AWS4-HMAC-SHA256 Credential=AKID2"]


def test_another_signature_is_left_out():
    kept = [("content-type", "a/b"), ("amz-sdk-request", "attempt=1")]
    assert without_signature([*kept, ("x-amz-date", "x"), ("x-amz-content-sha256", "y")]) == kept
