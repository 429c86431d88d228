import pytest

from freehold.gateway.http.framing import ends_connection, first_upgrade, framing_header, is_chunked
from freehold.gateway.http.request import Request


def asked(method="GET", **headers):
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request(None, method, "/", "", pairs, dict(pairs))


def test_where_a_body_ends():
    assert framing_header(asked(content_length="3")) == b"content-length: 3"
    assert (
        framing_header(asked(transfer_encoding="chunked", content_length="3"))
        == b"transfer-encoding: chunked"
    )
    assert framing_header(asked()) == b""


def test_chunks_are_the_only_coding():
    assert is_chunked([("transfer-encoding", "Chunked ")])
    assert not is_chunked([("transfer-encoding", "gzip, chunked")])


def test_a_word_to_close_outweighs_others():
    assert ends_connection([("connection", "keep-alive, Close")]) and not ends_connection(
        [("connection", "x")]
    )


@pytest.mark.parametrize(
    ("method", "headers", "offered"),
    [
        ("GET", {"upgrade": "WebSocket"}, "websocket"),
        ("GET", {"upgrade": "h2c"}, None),
        ("POST", {"upgrade": "websocket"}, None),
        ("GET", {"upgrade": "websocket", "content_length": "3"}, None),
        ("GET", {}, None),
    ],
)
def test_only_a_websocket_is_a_protocol_to_continue_in(method, headers, offered):
    assert first_upgrade(asked(method, **headers)) == offered
