import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.wire import anthropic, openai, responses
from freehold.wire.errors import ApiError
from freehold.wire.sse import JsonEvents, ModelName, NamedStream, SeparateUsage, UsageFilter, events

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
WORDS = [b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % number for number in range(3)]
END = b"data: [DONE]\n\n"
# CR and then LF are one end of a line, and no empty line.
_ENDS = (b"\n", b"\r\n", b"\r")
EMPTY_LINES = st.sampled_from([a + b for a in _ENDS for b in _ENDS if (a, b) != (b"\r", b"\n")])


def in_pieces(data, stream):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(st.data())
def test_the_usage_chunk_is_left_out_of_a_stream_of_mixed_line_ends(data):
    kept = [mixed(chunk, data.draw(EMPTY_LINES)) for chunk in [*WORDS, END]]
    usage = mixed(USAGE, data.draw(EMPTY_LINES))
    stream = b"".join([*kept[:-1], usage, kept[-1]])
    filtered = UsageFilter()
    pieces = in_pieces(data, stream)
    passed = b"".join(filtered.feed(piece) for piece in pieces) + filtered.rest()
    assert list(events(passed)) == list(events(b"".join(kept))) and b'"usage"' not in passed


def mixed(event, empty_line):
    """An event whose last line ends in one way, and the empty line after it perhaps in another."""
    return event.removesuffix(b"\n\n") + empty_line


@given(st.data(), st.booleans())
def test_usage_that_came_with_the_last_words_is_told_apart_however_the_stream_is_cut(data, hides):
    joined = (
        b'data: {"id":"c","choices":[{"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    )
    stream = b"".join([*WORDS, joined, END])
    apart = SeparateUsage(hides=hides)
    pieces = in_pieces(data, stream)
    passed = b"".join(apart.feed(piece) for piece in pieces) + apart.rest()
    last = b'data: {"id":"c","choices":[{"text":"","finish_reason":"stop"}]}\n\n'
    usage = b"" if hides else b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1}}\n\n'
    assert passed == b"".join([*WORDS, last, usage, END])


@given(st.data(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_json_comes_whole_however_the_stream_is_cut_and_its_lines_end(data, ending):
    odd = [b": hi\n\n", b"event: a\ndata: [1]\n\n", b"garbage\n\n", b"data: \n\n"]
    stream = b"".join([*odd, *WORDS, END]).replace(b"\n", ending)
    reader = JsonEvents()
    pieces = in_pieces(data, stream)
    found = [told for piece in pieces for told in reader.feed(piece)]
    assert [one["choices"][0]["delta"]["content"] for one in found] == ["0", "1", "2"]
    assert reader.done


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: nonsense\n\n", b'data: {"a":"\xff"}\n\n'])
def test_an_event_that_cannot_be_read_is_no_event_to_pass_over(data):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        JsonEvents().feed(data)


# The name of the model
NAME = ModelName("freehold-local:4096", 'org/"mine"')


def chunk(text, model="freehold-local:4096"):
    return (
        b"data: " + json.dumps({"choices": [{"delta": {"content": text}}], "model": model}).encode() + b"\n\n"
    )


def test_an_answer_names_what_was_asked_for():
    told = NAME.told(b'{"choices":[],"model":"freehold-local:4096"}')
    assert json.loads(told) == {"choices": [], "model": 'org/"mine"'}
    assert NAME.told(b'{"model" : "freehold-local:4096x"}') == b'{"model" : "freehold-local:4096x"}'


def test_what_the_model_wrote_is_never_met():
    wrote = {"content": 'I am {"model":"freehold-local:4096"}', "model": "freehold-local:4096"}
    assert json.loads(NAME.told(json.dumps(wrote).encode())) == {**wrote, "model": 'org/"mine"'}


@given(st.data())
def test_a_stream_in_any_pieces_is_told_the_same(data):
    sent = b"".join([chunk("on"), chunk("model"), b": kept\n\n", b"data: [DONE]\n\n"])
    wanted = b"".join(
        [chunk("on", 'org/"mine"'), chunk("model", 'org/"mine"'), b": kept\n\ndata: [DONE]\n\n"]
    )
    stream = NamedStream(NAME, UsageFilter())
    parts = [stream.feed(piece) for piece in in_pieces(data, sent)]
    assert b"".join([*parts, stream.rest()]) == wanted


@pytest.mark.parametrize("before", [None, UsageFilter(), SeparateUsage(hides=True)])
def test_a_stream_that_breaks_off_says_so_without_half_an_event(before):
    stream = NamedStream(NAME, before)
    assert stream.feed(chunk("on") + b"data: half") == chunk("on", 'org/"mine"')
    assert stream.broken(b'{"error":{}}') == b'data: {"error":{}}\n\n'


REQUEST = b'{"model":"m","stream":true,"messages":[],"input":"x"}'
CALLS = [("a", "find", '{"x":1}'), ("b", "send", '{"y":2}')]


def stream(*pieces, finish="tool_calls"):
    deltas = [{"tool_calls": [piece]} if "function" in piece else piece for piece in pieces]
    rows = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    rows.append({"index": 0, "delta": {}, "finish_reason": finish})
    told = [{"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [row]} for row in rows]
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told) + b"data: [DONE]\n\n"


def piece(name=None, arguments=None, **more):
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {key: value for key, value in function.items() if value is not None}}


def told(made, answer):
    return made.feed(answer) + made.rest()


def calls_in(answer):
    calls = answer.body["choices"][0]["message"]["tool_calls"]
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(*CALLS[0][1:], id="a", index=0), piece(*CALLS[1][1:], id="b", index=0)],
        [piece(*CALLS[0][1:], id="a"), piece(*CALLS[1][1:], id="b")],
        [piece("find", '{"x"', id="a", index=None), piece(arguments=":1}", index=None),
         piece("send", '{"y":2}', id="b", index=None)],
        [piece("find", "", id="a", index=0), piece("", '{"x":1}', id="", index=0),
         piece("send", "", id="b", index=1), piece("", '{"y":2}', id="", index=1)],
        [piece("find", '{"x"', id="a", index=0), piece("find", ":1}", id="a", index=0),
         piece("send", '{"y":2}', id="b", index=1)],
        [piece(*CALLS[0][1:], id="a", index=0), piece(*CALLS[1][1:], id="b", index=1),
         piece(arguments="", index=0)],
    ],
    ids=["one index", "no index", "null", "empty again", "told again", "nothing more"],
)  # fmt: skip
def test_each_call_is_one_whatever_tells_it_apart(pieces):
    answer = stream(*pieces)
    assert calls_in(openai.read_stream(answer)) == CALLS
    assert (
        calls_in(anthropic.read_stream(told(anthropic.AnthropicStreamFromOpenai(REQUEST), answer))) == CALLS
    )
    assert (
        calls_in(responses.read_stream(told(responses.ResponsesStreamFromOpenai(REQUEST), answer))) == CALLS
    )


@pytest.mark.parametrize("between", [piece(*CALLS[1][1:], id="b", index=1), {"content": "so"}])
def test_calls_that_mix_are_an_error_where_blocks_follow_each_other(between):
    answer = stream(piece("find", '{"x"', id="a", index=0), between, piece(arguments=":1}", index=0))
    with pytest.raises(ApiError, match="pieces that mix"):
        told(anthropic.AnthropicStreamFromOpenai(REQUEST), answer)


@pytest.mark.parametrize(("finish", "said"), [("stop", "tool_use"), ("length", "max_tokens")])
def test_an_answer_with_a_call_ends_with_it_unless_it_was_cut(finish, said):
    answer = stream(piece(*CALLS[0][1:], id="a", index=0), finish=finish)
    events = told(anthropic.AnthropicStreamFromOpenai(REQUEST), answer)
    assert b'"stop_reason":"%b"' % said.encode() in events
    whole = json.dumps(openai.read_stream(answer).body).encode()
    assert json.loads(anthropic.answer_from_openai(whole, REQUEST))["stop_reason"] == said
