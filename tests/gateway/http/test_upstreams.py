"""How endpoints are reached, and what goes into and out of their headers."""

from freehold.gateway.http.upstreams import plain_address


def test_what_needs_more_than_a_plain_connection(monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    assert plain_address("http://127.0.0.1:8000/v1") == ("127.0.0.1", 8000)
    assert plain_address("http://[::1]:8000") == ("::1", 8000)
    assert plain_address("http://engine") == ("engine", 80)
    assert plain_address("https://api.example.com") is None
    assert plain_address("http://me:secret@engine:8000") is None
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert plain_address("http://engine:8000") is None
    assert plain_address("http://127.0.0.1:8000") == ("127.0.0.1", 8000)
