import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.wire.sse import JsonEvents, UsageFilter, events

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
WORDS = [b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % number for number in range(3)]
END = b"data: [DONE]\n\n"


def test_events_of_every_line_ending():
    stream = b": hello\n\nevent: a\ndata: 1\ndata: 2\n\ndata:3\r\n\r\nid: 5\n\ndata: cut"
    assert list(events(stream)) == [(b"a", b"1\n2"), (b"", b"3"), (b"", b"cut")]


@given(st.data())
def test_the_usage_chunk_is_left_out_however_the_stream_is_cut(data):
    stream = b"".join([*WORDS, USAGE, END])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    filtered = UsageFilter()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join(filtered.feed(piece) for piece in pieces) + filtered.rest() == b"".join([*WORDS, END])


def test_whole_chunks_pass_one_by_one_as_they_are():
    filtered = UsageFilter()
    assert [filtered.feed(word) for word in WORDS] == WORDS
    assert filtered.feed(USAGE) == b""


def test_a_cut_event_is_not_lost():
    filtered = UsageFilter()
    assert filtered.feed(WORDS[0] + b"data: {") == WORDS[0]
    assert filtered.rest() == b"data: {"


@given(st.data(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_json_comes_whole_however_the_stream_is_cut_and_its_lines_end(data, ending):
    odd = [b": hi\n\n", b"event: a\ndata: [1]\n\n", b"garbage\n\n", b"data: \n\n"]
    stream = b"".join([*odd, *WORDS, END]).replace(b"\n", ending)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = JsonEvents()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = [told for piece in pieces for told in reader.feed(piece)]
    assert [one["choices"][0]["delta"]["content"] for one in found] == ["0", "1", "2"]
    assert reader.done


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: nonsense\n\n", b'data: {"a":"\xff"}\n\n'])
def test_an_event_that_cannot_be_read_is_no_event_to_pass_over(data):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        JsonEvents().feed(data)
