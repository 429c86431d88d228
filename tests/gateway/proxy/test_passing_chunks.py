"""Chunks of a stream that pass on as they came framed: what must be looked at is, and what follows is read as before.

`tests/fuzz/targets/upstream.py` plays streams in reads of all kinds.
"""

import asyncio

import pytest
from tests.fuzz.targets import upstream

from freehold.gateway.proxy import spend
from freehold.gateway.proxy.relay import ClientSink

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%btransfer-encoding: chunked\r\n\r\n"
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"


def framed(*pieces):
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]


async def played(parts, *, hide_usage, during):
    client = upstream._Upstream()
    asking = asyncio.ensure_future(upstream._ask(client, hide_usage))
    await asyncio.sleep(0)
    (connection,) = client.busy
    for number, part in enumerate(parts):
        during(number)
        connection.data_received(part)
        for _ in range(5):
            await asyncio.sleep(0)
    told, closes = await asking, connection.transport.is_closing()
    await client.close()
    return told, closes


@pytest.fixture
def play(monkeypatch):
    """Plays a stream; with it, what was passed on unread and what happened at the client, in turn."""
    passed, happened = [], []
    pass_on, write, keep = ClientSink.pass_on, upstream._Client.write, spend.keep

    def note(self, data):
        if pass_on(self, data):
            passed.append(data)
            return True
        return False

    monkeypatch.setattr(ClientSink, "pass_on", note)
    monkeypatch.setattr(
        upstream._Client, "write", lambda self, data: happened.append(data) or write(self, data)
    )
    monkeypatch.setattr(spend, "keep", lambda exchange: happened.append("kept") or keep(exchange))

    def run(parts, *, hide_usage=False, during=lambda number: None):
        told, closes = asyncio.run(played(parts, hide_usage=hide_usage, during=during))
        return told, closes, passed, happened

    return run


def test_words_pass_on_and_usage_that_only_freehold_asked_for_does_not(play):
    parts = [HEAD % b"", *framed(*[WORD] * 6, USAGE, DONE), END]
    told, closes, passed, happened = play(parts, hide_usage=True)
    assert told.whole and not closes and passed == framed(*[WORD] * 4)
    assert told.data.partition(b"\r\n\r\n")[2] == b"".join(framed(*[WORD] * 6, DONE)) + END
    assert told.kept == WORD * 6 + USAGE + DONE
    assert happened.index("kept") < happened.index(framed(DONE)[0])


def test_what_comes_in_another_read_than_its_chunk_ends_is_read_and_then_they_pass_on_again(play):
    broken = framed(WORD)[0]
    parts = [HEAD % b"", *framed(*[WORD] * 3), broken[:9], broken[9:], *framed(*[WORD] * 3, DONE), END]
    told, _, passed, _ = play(parts)
    assert told.kept == WORD * 7 + DONE and len(passed) == 4


def test_an_endpoint_that_ends_the_connection_after_a_stream_is_not_asked_on_it_again(play):
    _, closes, passed, _ = play([HEAD % b"connection: close\r\n", *framed(*[WORD] * 3, DONE), END])
    assert closes and passed


def test_for_a_client_that_does_not_read_nothing_passes_on(play, monkeypatch):
    parts = [HEAD % b"", *framed(*[WORD] * 8, DONE), END]

    def pause(number):
        monkeypatch.setattr(upstream._Client, "writing_paused", 3 <= number < 6)

    monkeypatch.setattr(upstream._Client, "drain", lambda self: asyncio.sleep(0))
    told, _, passed, _ = play(parts, during=pause)
    assert told.kept == WORD * 8 + DONE and 0 < len(passed) < 6
