"""Azure's tokens, of a managed identity on loopback."""

import time

import pytest
from tests.signing.vendors import Azure

from freehold.signing.azure import AzureSource


def test_a_token_is_that_of_the_managed_identity(upstream, monkeypatch):
    cloud = Azure(upstream)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    source = AzureSource()
    issued = source.fetch()
    assert issued.value in cloud.tokens
    assert issued.expires_s == pytest.approx(time.time() + 3600, abs=60)
    assert source.headers("x", "POST", "u", [], b"") == [("authorization", "Bearer x")]
