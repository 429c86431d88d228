"""Google's tokens, of a real service account's key and a token endpoint that checks its signature."""

import time

import pytest
from tests.signing.vendors import Google

from freehold.signing.google import GoogleSource


def test_each_fetch_gives_a_newer_token(upstream, tmp_path, monkeypatch):
    cloud = Google(upstream)
    for name, value in cloud.write_account(tmp_path).items():
        monkeypatch.setenv(name, value)
    source = GoogleSource()
    first, second = source.fetch(), source.fetch()
    assert {first.value, second.value} == set(cloud.tokens)
    assert first.value != second.value
    assert first.expires_s == pytest.approx(time.time() + 3600, abs=60)
    assert source.headers("x", "POST", "u", [], b"") == [("authorization", "Bearer x")]
