"""The head of a request on plain HTTP, and which addresses can be asked so."""

from freehold.gateway.http.request_head import password_of, plain_address, request_head, request_line
from freehold.types.endpoint import Endpoint


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


def test_a_head_names_the_host_without_its_password_and_the_length_of_a_body():
    where = Endpoint(name="e", engine="remote", base_url="http://me:s%20t@engine:8000/v1")
    start = request_line(where, "/v1/models?a=b")
    assert start == b"/v1/models?a=b HTTP/1.1\r\nhost: engine:8000\r\n"
    assert request_head("GET", start, [("a", "\xe9")], None) == b"GET " + start + b"a: \xe9\r\n\r\n"
    assert request_head("POST", start, [], b"12").endswith(b"content-length: 2\r\n\r\n")
    assert password_of("http://me:s%20t@engine") == [("authorization", "Basic bWU6cyB0")]
    assert password_of("http://engine") == []
